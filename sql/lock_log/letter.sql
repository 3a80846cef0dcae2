-- chr() of a constant is worked out while a statement is planned, in a branch that is not taken, too, and fails where the encoding
-- lacks the letter: so never write it, ask here.
CREATE OR REPLACE FUNCTION lock_log.letter(p_utf8 bytea)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN convert_from(p_utf8, 'UTF8');
EXCEPTION WHEN untranslatable_character THEN
  RETURN '';
END
$$;
COMMENT ON FUNCTION lock_log.letter(bytea) IS 'The letter with these bytes in UTF-8; nothing where this database''s encoding lacks it.';
