-- Whether every text that sessions show now is valid here, asked once for all of them: one check costs next to nothing, but it
-- raises, and catching that for each text would cost more than reading the sessions does.
CREATE OR REPLACE FUNCTION lock_catalog.all_readable()
RETURNS boolean
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- a line end between two of them, so that the rest of one and the beginning of another are no character
  PERFORM count(convert_to(concat_ws(E'\n', a.query, a.usename, a.datname, a.application_name, a.client_hostname), 'UTF8'))
    FROM pg_stat_activity a;
  RETURN true;
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
  RETURN false;
END
$$;
COMMENT ON FUNCTION lock_catalog.all_readable() IS
  'Whether query, user, database, application and host name of every session are valid in this database''s encoding now.';
