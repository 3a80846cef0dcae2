-- Whether every text that sessions show now is valid here, asked once for all of them: one check costs next to nothing, but it
-- raises, and catching that for each text would cost more than reading the sessions does.
CREATE OR REPLACE FUNCTION lock_catalog.all_readable(OUT valid boolean, OUT plain boolean)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- a line end between two of them, so that the rest of one and the beginning of another are no character
  SELECT convert_to(x.texts, 'UTF8') IS NOT NULL, strpos(x.texts, E'\\x') = 0 INTO valid, plain
    FROM (SELECT string_agg(concat_ws(E'\n', a.query, a.usename, a.datname, a.application_name, a.client_hostname), E'\n') AS texts
            FROM pg_stat_activity a OFFSET 0) x;
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character
  -- a thousand texts of a megabyte are more than one: each is asked alone
  OR program_limit_exceeded THEN
  valid := false;
  plain := false;
END
$$;
COMMENT ON FUNCTION lock_catalog.all_readable() IS
  'Query, user, database, application and host name of every session now: valid: all are valid in this database''s encoding; '
  'plain: and none holds a backslash followed by an x, as bytes are shown that are no text.';
