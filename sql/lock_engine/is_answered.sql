CREATE OR REPLACE FUNCTION lock_engine.is_answered(p_wait lock_log.event)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN EXISTS (
    SELECT FROM lock_log.event e
     WHERE e.pid = p_wait.pid AND e.kind = 'deadlock'
       AND e.logged_at BETWEEN date_trunc('second', p_wait.logged_at) AND p_wait.logged_at + interval '10 minutes'
       AND lock_engine.answers_wait(e, p_wait));
END
$$;
COMMENT ON FUNCTION lock_engine.is_answered(lock_log.event) IS
  'Whether the error of a wait that ended in a deadlock is in the log, too: if not, the application caught it.';
