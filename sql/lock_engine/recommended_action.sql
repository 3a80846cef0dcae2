-- What to do about a blocker, by what it is. The words are the same in pages, messages and logs.
-- p_has_written: it has a transaction id. So has one that has locked rows or a table, or was about to write, and PostgreSQL does not
-- show which; without one it has written nothing.
CREATE OR REPLACE FUNCTION lock_engine.recommended_action(
  p_kind text, p_pid integer, p_prepared_gid text, p_has_written boolean, p_query text, p_waits_for text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_loss constant text := CASE WHEN p_has_written THEN ' and rolls back what it has written, if anything' ELSE ', which has written nothing' END;
BEGIN
  RETURN CASE p_kind
    WHEN 'idle_in_transaction' THEN format(
      'Session %s is idle inside an open transaction: the application has to COMMIT or ROLLBACK. Cancelling does '
      'nothing, as no statement is running; terminating it ends the transaction%s.', p_pid, v_loss)
    WHEN 'idle_in_transaction_aborted' THEN format(
      'Session %s is idle in a transaction in which a statement failed behind a savepoint: what it did and locked before that is kept. '
      'The application has to ROLLBACK TO its savepoint, or ROLLBACK. Cancelling does nothing; terminating it ends the transaction%s.', p_pid, v_loss)
    WHEN 'idle_session_lock' THEN format(
      'Session %s is idle and keeps an advisory lock of its session, which COMMIT and ROLLBACK do not end: it ends with pg_advisory_unlock '
      'or with the connection. Cancelling does nothing; terminating it loses no work.', p_pid)
    WHEN 'advisory_lock' THEN format(
      'Session %s holds an advisory lock, and PostgreSQL does not show whether of its transaction or of its session: COMMIT, ROLLBACK and cancelling end only the '
      'first, pg_advisory_unlock the second, terminating it both%s.', p_pid, v_loss)
    WHEN 'queued_ddl' THEN format(
      'Session %s queues for %s and everybody behind it has to wait for it: cancel this statement first, which frees '
      'those who wait for it alone; run it again with a lock_timeout.', p_pid, coalesce(p_waits_for, 'a strong lock'))
    WHEN 'prepared_transaction' THEN format(
      'A prepared transaction has no session to stop: decide in its transaction manager, or COMMIT PREPARED %1$L / '
      'ROLLBACK PREPARED %1$L in its database.', coalesce(p_prepared_gid, 'unknown'))
    WHEN 'waits_for_standby' THEN format(
      'Session %s has committed and waits for its synchronous standby to confirm: nothing done to it undoes the commit. Look at the standby '
      '(pg_stat_replication), or at synchronous_standby_names. Cancelling or terminating only ends the waiting: those behind it are freed, and the standby may lack '
      'the commit when it takes over.', p_pid)
    WHEN 'client_not_reading' THEN format(
      'Session %s waits for its client to take the rows that it has asked for: look at the client. Cancelling does nothing while it waits; '
      'terminating it ends the transaction%s.', p_pid, v_loss)
    WHEN 'client_not_sending' THEN format(
      'Session %s waits in the middle of a statement (COPY FROM STDIN) for its client to send more: look at the client. Cancelling does nothing while it waits; '
      'terminating it ends the transaction%s.', p_pid, v_loss)
    WHEN 'autovacuum_wraparound' THEN
      'An autovacuum that prevents transaction id wraparound: let it finish, and hold back the statement that waits for it.'
    WHEN 'autovacuum' THEN
      'An autovacuum worker gives way by itself to a lock request after deadlock_timeout; if it does not, run '
      'the waiting statement again later.'
    WHEN 'concurrent_ddl' THEN format(
      'Session %s runs %s: let it finish if it is near its end. Cancelling frees those behind it and does not undo it: %s.', p_pid,
      CASE WHEN p_query ~* '\mdetach\M' THEN 'DETACH PARTITION CONCURRENTLY' ELSE 'an index statement with CONCURRENTLY' END,
      CASE WHEN p_query ~* '\mdetach\M' THEN 'the partition may stay half detached, and ALTER TABLE ... DETACH PARTITION ... FINALIZE ends that'
           ELSE 'an INVALID index stays, to be dropped with DROP INDEX CONCURRENTLY' END)
    WHEN 'maintenance' THEN format(
      'Session %s runs VACUUM or ANALYZE: cancel it if those behind it cannot wait. Nothing is lost but its time; what VACUUM has removed stays removed.', p_pid)
    WHEN 'running_ddl' THEN format(
      'Session %s runs a statement that changes a table''s definition or locks it: let it finish if it is near its '
      'end, else cancel it, which undoes it and what its transaction did before.', p_pid)
    WHEN 'holds_table_lock' THEN format(
      'Session %s runs a statement whose text does not show it, but its transaction holds a strong lock on a table (its locks say so): let it finish if it is near '
      'its end, else cancel it, which undoes its transaction.', p_pid)
    WHEN 'long_query' THEN format(
      'Session %s has been running one statement for more than a minute: cancel the statement first, which its transaction fails with; terminate only '
      'if it does not let go.', p_pid)
    WHEN 'logging_in' THEN format(
      'Process %s is a connection that has not logged in yet and is nobody''s: it ends by itself after authentication_timeout, '
      'or is terminated without loss.', p_pid)
    WHEN 'apply' THEN format(
      'Process %1$s applies the changes of a subscription (SELECT subname FROM pg_stat_subscription WHERE pid = %1$s): it would begin again by itself if it was '
      'stopped. ALTER SUBSCRIPTION ... DISABLE ends it; what it had not committed is sent again when it is enabled.', p_pid)
    WHEN 'replication' THEN format(
      'Process %s serves replication or a base backup: a standby, a subscriber or a backup depends on it. Find out which (pg_stat_replication, '
      'pg_stat_progress_basebackup) before anything else.', p_pid)
    WHEN 'recovery' THEN format(
      'Process %s replays what the primary did, and its locks are those of a transaction there: it ends there, not here.', p_pid)
    WHEN 'background' THEN format('Process %s is not a client''s session; find out what started it before anything '
      'else.', p_pid)
    WHEN 'unknown' THEN format(
      'What session %s does is not shown (track_activities is off for it, or this login may not see it): find out before anything else.', p_pid)
    WHEN 'waiting' THEN format('Session %s waits itself: resolve the root blocker that it waits for.', p_pid)
    ELSE format('Session %s is working: wait for it, or cancel its statement if it is not worth the wait; terminate it if it does not let go then '
      '(its client may have a savepoint).', p_pid)
  END;
END
$$;
COMMENT ON FUNCTION lock_engine.recommended_action(text, integer, text, boolean, text, text) IS
  'One or two sentences of advice for a blocker of the given kind (see lock_engine.blocker_kinds).';
