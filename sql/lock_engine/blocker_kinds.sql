-- Every kind of blocker, and what stopping it does: one list for advice, policies, plans, pages and documents. Each line was tried with
-- a real server (tests/sql/test_blocker_kinds.py).
-- automatic: a policy or auto_resolve_blocking() may stop it. cancel, terminate: whether that lets go of its locks: yes, no, maybe (what
-- that depends on is not shown by PostgreSQL), NULL: the door refuses it, or nobody is there to signal.
-- loses: what goes with the stop: nothing, time (it can be run again), transaction (all since its BEGIN that was written), unknown.
CREATE OR REPLACE FUNCTION lock_engine.blocker_kinds()
RETURNS TABLE (kind text, automatic boolean, cancel text, terminate text, loses text)
LANGUAGE sql
IMMUTABLE
ROWS 24
SET search_path = pg_catalog, pg_temp
AS $$
  VALUES
    ('idle_in_transaction', true, 'no', 'yes', 'transaction'),
    ('idle_in_transaction_aborted', true, 'no', 'yes', 'transaction'),
    ('idle_session_lock', true, 'no', 'yes', 'nothing'),
    ('advisory_lock', true, 'maybe', 'yes', 'transaction'),
    ('active', true, 'maybe', 'yes', 'transaction'),
    ('long_query', true, 'maybe', 'yes', 'transaction'),
    ('running_ddl', true, 'maybe', 'yes', 'transaction'),
    ('holds_table_lock', true, 'maybe', 'yes', 'transaction'),
    ('maintenance', true, 'yes', 'yes', 'time'),
    ('client_not_reading', true, 'no', 'yes', 'transaction'),
    ('client_not_sending', true, 'no', 'yes', 'transaction'),
    ('queued_ddl', true, 'yes', 'yes', 'transaction'),
    ('waiting', false, 'maybe', 'yes', 'transaction'),
    ('concurrent_ddl', false, 'yes', 'yes', 'time'),
    ('waits_for_standby', false, 'yes', 'yes', 'nothing'),
    ('unknown', false, 'maybe', 'maybe', 'unknown'),
    ('logging_in', false, NULL, NULL, 'nothing'),
    ('prepared_transaction', false, NULL, NULL, 'transaction'),
    ('autovacuum', false, NULL, NULL, 'time'),
    ('autovacuum_wraparound', false, NULL, NULL, 'time'),
    ('apply', false, NULL, NULL, 'nothing'),
    ('replication', false, NULL, NULL, 'unknown'),
    ('recovery', false, NULL, NULL, 'nothing'),
    ('background', false, NULL, NULL, 'unknown')
$$;
COMMENT ON FUNCTION lock_engine.blocker_kinds() IS
  'Kinds of blockers: automatic (a policy may stop it), whether cancelling and terminating frees those behind it (yes, no, maybe; NULL: the door refuses), and what is lost: nothing, '
  'time, transaction, unknown. See docs/kinds.md.';
