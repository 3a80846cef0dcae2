-- Who writes by RAISE has that word in the context, in every language and whatever its function is called. Other procedural
-- languages write LOG lines, and what dblink and postgres_fdw pass on has the code and the words of a server that somebody
-- else may run.
CREATE OR REPLACE FUNCTION lock_log.written_by_users(p_context text)
RETURNS boolean
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN coalesce(p_context, '') ~ 'RAISE|PL/(?!pgSQL)|remote SQL command|dblink';
END
$$;
COMMENT ON FUNCTION lock_log.written_by_users(text) IS
  'Whether the context of a log record says that a statement of a user, or another server, could have written it.';
