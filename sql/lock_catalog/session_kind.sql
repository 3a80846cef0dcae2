-- What a session that blocks others is, by what it does at this moment; where its text does not tell, by the strongest lock on a
-- relation that its transaction holds. See lock_engine.blocker_kinds().
CREATE OR REPLACE FUNCTION lock_catalog.session_kind(
  p_backend_type text, p_state text, p_wait_event_type text, p_wait_event text, p_query text, p_running interval,
  p_strongest_lock integer, p_advisory_only boolean)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_class text;
BEGIN
  IF p_backend_type = 'autovacuum worker' THEN
    -- PostgreSQL itself writes an autovacuum's text
    RETURN CASE WHEN p_query LIKE '%(to prevent wraparound)' THEN 'autovacuum_wraparound' ELSE 'autovacuum' END;
  ELSIF p_backend_type LIKE 'walsender%' OR p_backend_type = 'walreceiver' THEN
    RETURN 'replication';
  ELSIF p_backend_type LIKE 'logical replication%' THEN
    RETURN 'apply';
  ELSIF p_backend_type = 'startup' THEN
    RETURN 'recovery';
  ELSIF p_backend_type NOT IN ('client backend', 'parallel worker') THEN
    RETURN 'background';
  ELSIF p_state = 'starting' THEN
    RETURN 'logging_in';
  ELSIF p_wait_event_type = 'IPC' AND p_wait_event = 'SyncRep' THEN
    RETURN 'waits_for_standby';
  ELSIF p_state = 'idle' THEN
    RETURN 'idle_session_lock';
  ELSIF p_state LIKE 'idle in transaction%' AND p_advisory_only THEN
    RETURN 'advisory_lock';
  ELSIF p_state = 'idle in transaction' THEN
    RETURN 'idle_in_transaction';
  ELSIF p_state = 'idle in transaction (aborted)' THEN
    RETURN 'idle_in_transaction_aborted';
  ELSIF p_state IS NULL OR p_state NOT IN ('active', 'fastpath function call') THEN
    -- disabled: track_activities is off
    RETURN 'unknown';
  ELSIF p_wait_event_type = 'Client' AND p_wait_event = 'ClientWrite' THEN
    RETURN 'client_not_reading';
  ELSIF p_wait_event_type = 'Client' AND p_wait_event = 'ClientRead' THEN
    RETURN 'client_not_sending';
  END IF;
  v_class := lock_catalog.statement_class(p_query);
  RETURN CASE
    WHEN v_class = 'concurrent_ddl' THEN v_class
    WHEN v_class = 'definition' THEN 'running_ddl'
    WHEN v_class = 'maintenance' THEN v_class
    WHEN p_advisory_only THEN 'advisory_lock'
    -- from SHARE UPDATE EXCLUSIVE on: no statement that reads or writes rows takes it
    WHEN p_strongest_lock >= 16 THEN 'holds_table_lock'
    WHEN p_running > interval '1 minute' THEN 'long_query'
    ELSE 'active' END;
END
$$;
COMMENT ON FUNCTION lock_catalog.session_kind(text, text, text, text, text, interval, integer, boolean) IS
  'Kind of a blocking session that does not wait for a lock itself. p_running: how long its statement runs; p_strongest_lock: the strongest mode on a relation that its '
  'transaction holds, as a bit (lock_catalog.locks.mode_bit), NULL or 0: none; p_advisory_only: others wait for advisory locks of it, and for nothing else.';
