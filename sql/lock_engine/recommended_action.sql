-- What to do about a blocker, by what it is. The words are the same in pages, messages and logs.
CREATE OR REPLACE FUNCTION lock_engine.recommended_action(
  p_kind text, p_pid integer, p_prepared_gid text, p_has_written boolean, p_query text, p_waits_for text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE p_kind
    WHEN 'idle_in_transaction' THEN format(
      'Session %s is idle inside an open transaction: the application has to COMMIT or ROLLBACK. Cancelling does '
      'nothing, as no statement is running; terminating it ends the transaction%s.', p_pid,
      CASE WHEN p_has_written THEN ' and rolls back what it has written' ELSE ', which has written nothing' END)
    WHEN 'idle_in_transaction_aborted' THEN format(
      'Session %s is idle in a transaction that has already failed and can only be rolled back: terminating it loses '
      'no work.', p_pid)
    WHEN 'queued_ddl' THEN format(
      'Session %s queues for %s and everybody behind it has to wait for it: cancel this statement first, which frees '
      'those who wait for it alone; run it again with a lock_timeout.', p_pid, coalesce(p_waits_for, 'a strong lock'))
    WHEN 'prepared_transaction' THEN format(
      'A prepared transaction has no session to stop: decide in its transaction manager, or COMMIT PREPARED %1$L / '
      'ROLLBACK PREPARED %1$L in its database.', coalesce(p_prepared_gid, 'unknown'))
    WHEN 'autovacuum' THEN CASE WHEN p_query LIKE '%(to prevent wraparound)%'
      THEN 'An autovacuum that prevents transaction id wraparound: let it finish, and hold back the statement that '
        'waits for it.'
      ELSE 'An autovacuum worker gives way by itself to a lock request after deadlock_timeout; if it does not, run '
        'the waiting statement again later.' END
    WHEN 'running_ddl' THEN format(
      'Session %s runs a statement that changes a table''s definition or locks it: let it finish if it is near its '
      'end, else cancel it, which undoes it.', p_pid)
    WHEN 'long_query' THEN format(
      'Session %s has been running one statement for more than a minute: cancel the statement first; terminate only '
      'if it does not react.', p_pid)
    WHEN 'idle_session_lock' THEN format(
      'Session %s is idle and keeps a lock of its session (advisory lock): it ends with pg_advisory_unlock or with '
      'the connection.', p_pid)
    WHEN 'logging_in' THEN format(
      'Process %s is a connection that has not logged in yet and is nobody''s: it ends by itself after authentication_timeout, '
      'or is terminated without loss.', p_pid)
    WHEN 'background' THEN format('Process %s is not a client''s session; find out what started it before anything '
      'else.', p_pid)
    WHEN 'waiting' THEN format('Session %s waits itself: resolve the root blocker that it waits for.', p_pid)
    ELSE format('Session %s is working: wait for it, or cancel its statement if it is not worth the wait.', p_pid)
  END;
END
$$;
COMMENT ON FUNCTION lock_engine.recommended_action(text, integer, text, boolean, text, text) IS
  'One or two sentences of advice for a blocker of the given kind (see lock_catalog.waits_for).';
