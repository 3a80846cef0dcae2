-- Text of PostgreSQL's shared catalogs and of other databases' sessions is bytes in an encoding that nobody tells. They are
-- taken as this database's: see lock_catalog.readable_bytes() for what becomes of those that are not.
CREATE OR REPLACE FUNCTION lock_catalog.readable(p_text text)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_escaped text;
BEGIN
  BEGIN
    PERFORM convert_to(p_text, 'UTF8');
    IF strpos(p_text, E'\\x') > 0 THEN
      RETURN lock_catalog.readable_bytes(convert_to(p_text, getdatabaseencoding()), getdatabaseencoding(), false);
    END IF;
    RETURN p_text;
  EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
    NULL;
  END;
  -- the bytes as they are: quote_literal() goes by bytes, doubles backslashes and quotes, and checks nothing
  v_escaped := encode(quote_literal(p_text)::bytea, 'escape');
  v_escaped := replace(left(substr(v_escaped, strpos(v_escaped, '''') + 1), -1), '''''', '''');
  RETURN lock_catalog.readable_bytes(decode(v_escaped, 'escape'), getdatabaseencoding(), false);
END
$$;
COMMENT ON FUNCTION lock_catalog.readable(text) IS
  'The text, valid in this database''s encoding and for every client: a byte that is neither is shown as \xNN. Valid text stays '
  'as it is, but for a backslash that would read like such a byte (\xE9 becomes \x5CxE9): so it is not to be applied twice.';
