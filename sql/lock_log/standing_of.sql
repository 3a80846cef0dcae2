-- Is a record PostgreSQL's own word? csvlog and jsonlog tell its code and, whatever log_error_verbosity is, its context; who wrote
-- it by RAISE has that word there, in every language and whatever its function is called. Other procedural languages write LOG
-- lines, and what dblink and postgres_fdw pass on has the code and the words of a server that somebody else may run.
CREATE OR REPLACE FUNCTION lock_log.standing_of(p_format text, p_sqlstate text, p_context text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE WHEN p_format IN ('csvlog', 'jsonlog') AND p_sqlstate IS NOT NULL
               AND coalesce(p_context, '') !~ 'RAISE|PL/(?!pgSQL)|remote SQL command|dblink' THEN 'proven' ELSE 'claimed' END;
END
$$;
COMMENT ON FUNCTION lock_log.standing_of(text, text, text) IS
  'proven: nobody but PostgreSQL can have written this record of a log; claimed: whoever may run statements could have.';
