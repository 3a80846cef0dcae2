-- PostgreSQL logs the wait of a deadlock's victim ("detected deadlock while waiting", log_lock_waits) and some milliseconds later the
-- error, which tells the ring; where a handler raises it again, later. A victim that goes on and meets the next deadlock has
-- waited deadlock_timeout in between and logged that wait, so the error belongs to the wait before it.
CREATE OR REPLACE FUNCTION lock_engine.answers_wait(p_error lock_log.event, p_wait lock_log.event)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN p_error.kind = 'deadlock' AND p_wait.kind = 'deadlock_wait' AND p_error.pid = p_wait.pid
    AND p_error.session_id IS NOT DISTINCT FROM p_wait.session_id
    AND p_error.logged_at BETWEEN date_trunc('second', p_wait.logged_at) AND p_wait.logged_at + interval '10 minutes'
    -- times of whole seconds may be of a format that has no others
    AND (p_error.logged_at >= p_wait.logged_at OR p_error.logged_at = date_trunc('second', p_error.logged_at))
    -- what is only claimed answers nothing that proves itself, and what a user is known to have written answers nothing
    AND (p_error.standing IS DISTINCT FROM 'claimed'
         OR p_wait.proof IS DISTINCT FROM 'code' AND p_wait.standing IS NOT NULL AND NOT lock_log.written_by_users(p_error.context))
    AND (p_error.logged_at <= p_wait.logged_at + interval '1 second'
         OR p_error.detail -> 'edges' @> jsonb_build_array(jsonb_build_object('pid', p_wait.pid, 'mode', p_wait.lock_mode, 'object', p_wait.object_text)))
    AND NOT EXISTS (
      SELECT FROM lock_log.event x
       WHERE x.pid = p_wait.pid AND x.kind = 'deadlock_wait' AND x.event_id <> p_wait.event_id
         AND (x.standing IS DISTINCT FROM 'claimed' OR p_wait.proof IS DISTINCT FROM 'code')
         AND x.logged_at > p_wait.logged_at AND x.logged_at <= p_error.logged_at);
END
$$;
COMMENT ON FUNCTION lock_engine.answers_wait(lock_log.event, lock_log.event) IS
  'Whether an error 40P01 of the log is that of a wait (kind deadlock_wait) which ended in a deadlock.';
