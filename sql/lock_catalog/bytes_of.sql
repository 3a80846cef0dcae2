-- The bytes of a text that may be invalid, whatever the client's encoding: quote_literal() goes by bytes, doubles backslashes
-- and quotes, and checks nothing.
CREATE OR REPLACE FUNCTION lock_catalog.bytes_of(p_text text)
RETURNS bytea
LANGUAGE plpgsql
IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_escaped text := encode(quote_literal(p_text)::bytea, 'escape');
BEGIN
  RETURN decode(replace(left(substr(v_escaped, strpos(v_escaped, '''') + 1), -1), '''''', ''''), 'escape');
END
$$;
COMMENT ON FUNCTION lock_catalog.bytes_of(text) IS 'The bytes of a text, whether or not they are valid in this database''s encoding.';
