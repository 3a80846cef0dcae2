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
BEGIN
  RETURN CASE
    -- PostgreSQL itself writes an autovacuum's text
    WHEN p_backend_type = 'autovacuum worker' AND p_query LIKE '%(to prevent wraparound)' THEN 'autovacuum_wraparound'
    WHEN p_backend_type = 'autovacuum worker' THEN 'autovacuum'
    WHEN p_backend_type LIKE 'walsender%' OR p_backend_type = 'walreceiver' THEN 'replication'
    WHEN p_backend_type LIKE 'logical replication%' THEN 'apply'
    WHEN p_backend_type = 'startup' THEN 'recovery'
    WHEN p_backend_type NOT IN ('client backend', 'parallel worker') THEN 'background'
    WHEN p_state = 'starting' THEN 'logging_in'
    WHEN p_wait_event_type = 'IPC' AND p_wait_event = 'SyncRep' THEN 'waits_for_standby'
    WHEN p_state = 'idle' THEN 'idle_session_lock'
    WHEN p_state LIKE 'idle in transaction%' AND p_advisory_only THEN 'advisory_lock'
    WHEN p_state = 'idle in transaction' THEN 'idle_in_transaction'
    WHEN p_state = 'idle in transaction (aborted)' THEN 'idle_in_transaction_aborted'
    -- disabled: track_activities is off
    WHEN p_state IS NULL OR p_state NOT IN ('active', 'fastpath function call') THEN 'unknown'
    WHEN p_wait_event_type = 'Client' AND p_wait_event = 'ClientWrite' THEN 'client_not_reading'
    WHEN p_wait_event_type = 'Client' AND p_wait_event = 'ClientRead' THEN 'client_not_sending'
    ELSE CASE lock_catalog.statement_class(p_query)
      WHEN 'concurrent_ddl' THEN 'concurrent_ddl'
      WHEN 'definition' THEN 'running_ddl'
      WHEN 'maintenance' THEN 'maintenance'
      ELSE CASE
        WHEN p_advisory_only THEN 'advisory_lock'
        -- from SHARE UPDATE EXCLUSIVE on: no statement that reads or writes rows takes it
        WHEN p_strongest_lock >= 16 THEN 'holds_table_lock'
        WHEN p_running > interval '1 minute' THEN 'long_query'
        ELSE 'active' END
      END
    END;
END
$$;
COMMENT ON FUNCTION lock_catalog.session_kind(text, text, text, text, text, interval, integer, boolean) IS
  'Kind of a blocking session that does not wait for a lock itself. p_running: how long its statement runs; p_strongest_lock: the strongest mode on a relation that its '
  'transaction holds, as a bit (lock_catalog.locks.mode_bit), NULL or 0: none; p_advisory_only: others wait for advisory locks of it, and for nothing else.';
