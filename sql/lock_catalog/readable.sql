-- Text of PostgreSQL's shared catalogs and of other databases' sessions is bytes in an encoding that nobody tells. They are
-- taken as this database's: see lock_catalog.readable_bytes() for what becomes of those that are not.
CREATE OR REPLACE FUNCTION lock_catalog.readable(p_text text)
RETURNS text
LANGUAGE plpgsql
STABLE
STRICT
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF strpos(p_text, E'\\x') = 0 AND lock_catalog.is_readable(p_text) THEN
    RETURN p_text;
  END IF;
  RETURN lock_catalog.readable_bytes(lock_catalog.bytes_of(p_text), getdatabaseencoding(), false);
END
$$;
COMMENT ON FUNCTION lock_catalog.readable(text) IS
  'The text, valid in this database''s encoding and for every client: a byte that is neither is shown as \xNN. Valid text stays '
  'as it is, but for a backslash that would read like such a byte (\xE9 becomes \x5CxE9): so it is not to be applied twice.';
