CREATE OR REPLACE FUNCTION lock_monitoring.capture_lock_activity(p_tenant_hk bytea DEFAULT NULL)
RETURNS TABLE (locks_captured integer, blocking_locks integer, critical_locks integer, deadlocks_detected integer)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1s'
AS $$
#variable_conflict use_column
DECLARE
  v_cycle record;
  v_deadlocks integer;
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  PERFORM lock_engine.require_writable('lock_monitoring.capture_lock_activity');
  PERFORM lock_engine.check_tenant(p_tenant_hk);
  SELECT c.* INTO v_cycle FROM lock_engine.run_cycle(true) c;
  v_deadlocks := lock_engine.collect_deadlocks();
  IF v_cycle.outcome LIKE 'skipped%' THEN
    RAISE NOTICE '%', v_cycle.outcome;
    RETURN QUERY SELECT NULL::integer, NULL::integer, NULL::integer, v_deadlocks;
  ELSIF p_tenant_hk IS NULL THEN
    RETURN QUERY SELECT v_cycle.locks_captured, v_cycle.blocking_locks, v_cycle.critical_locks, v_deadlocks;
  ELSE
    PERFORM lock_engine.ask_site_here();
    RETURN QUERY
    SELECT count(*)::integer, (count(*) FILTER (WHERE s.blocking_count > 0))::integer,
           (count(*) FILTER (WHERE NOT s.lock_granted AND lock_engine.waits_itself(s.beside) AND EXISTS (
              SELECT 1 FROM lock_monitoring.blocking_session_s b
               WHERE b.load_end_date IS NULL AND b.blocking_severity = 'CRITICAL' AND b.node = ANY (s.root_nodes))))::integer,
           v_deadlocks
      FROM lock_monitoring.lock_activity_s s
      JOIN lock_monitoring.lock_activity_h h ON h.lock_activity_hk = s.lock_activity_hk
     WHERE s.load_end_date IS NULL AND h.tenant_hk = p_tenant_hk;
  END IF;
  PERFORM lock_engine.place_rows();
END
$$;
COMMENT ON FUNCTION lock_monitoring.capture_lock_activity(bytea) IS
  'Stores every lock that is held or wanted now, also those of the youngest transactions. Returns the locks seen, those '
  'that block somebody, the waits behind a CRITICAL root blocker, and the deadlocks newly found; NULL where the cycle was '
  'skipped. The tenant filters what is counted, not what is stored.';
