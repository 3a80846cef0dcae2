CREATE OR REPLACE FUNCTION lock_catalog.is_readable(p_text text)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  PERFORM convert_to(p_text, 'UTF8');
  RETURN true;
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
  RETURN false;
END
$$;
COMMENT ON FUNCTION lock_catalog.is_readable(text) IS
  'Whether the text is valid in this database''s encoding and can be told to every client.';
