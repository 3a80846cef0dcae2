CREATE OR REPLACE FUNCTION lock_monitoring.detect_deadlocks(p_tenant_hk bytea DEFAULT NULL)
RETURNS TABLE (deadlock_detected boolean, involved_sessions integer[], deadlock_severity varchar(20), resolution_action text)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1s'
AS $$
DECLARE
  c_recent constant interval := interval '5 minutes';
  v_live record;
  v_last record;
  v_count integer;
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  PERFORM lock_engine.require_writable('lock_monitoring.detect_deadlocks');
  IF p_tenant_hk IS NOT NULL THEN
    PERFORM lock_engine.check_tenant(p_tenant_hk);
  END IF;
  PERFORM lock_engine.look_for_deadlocks();
  PERFORM lock_engine.collect_deadlocks();

  -- a cycle that is there now, or has just gone and is not confirmed yet
  SELECT o.pids, o.gone_at IS NULL AS alive INTO v_live
    FROM lock_engine.deadlock_observation o
   WHERE o.outcome IS NULL AND o.gone_at IS NULL AND o.last_seen > clock_timestamp() - interval '10 seconds'
     AND (p_tenant_hk IS NULL OR EXISTS (
            SELECT FROM jsonb_array_elements(o.members) e
             WHERE lock_engine.tenant_of(e ->> 'user', e ->> 'application') = p_tenant_hk))
   ORDER BY o.last_seen DESC LIMIT 1;
  IF FOUND THEN
    RETURN QUERY SELECT true, v_live.pids, 'CRITICAL'::varchar(20),
      format('A deadlock is alive: %s wait for each other in a ring. PostgreSQL ends it by cancelling one of them within deadlock_timeout (%s); '
             'the transaction of that one has to be run again.', array_to_string(v_live.pids, ', '), current_setting('deadlock_timeout'));
    RETURN;
  END IF;

  SELECT s.involved_pids, s.deadlock_victim_pid, s.deadlock_timestamp, s.prevention_suggestion, s.pattern_hash, s.deadlock_id INTO v_last
    FROM lock_monitoring.deadlock_event_s s
    JOIN lock_monitoring.deadlock_event_h h ON h.deadlock_event_hk = s.deadlock_event_hk
   WHERE s.load_end_date IS NULL AND s.deadlock_timestamp > clock_timestamp() - c_recent
     AND (p_tenant_hk IS NULL OR h.tenant_hk = p_tenant_hk)
   ORDER BY s.deadlock_timestamp DESC LIMIT 1;
  IF NOT FOUND THEN
    RETURN QUERY SELECT false, '{}'::integer[], 'NONE'::varchar(20), 'No deadlock now or in the last 5 minutes: nothing to do.'::text;
    RETURN;
  END IF;
  SELECT count(*) INTO v_count FROM lock_monitoring.deadlock_event_s s
   WHERE s.load_end_date IS NULL AND s.pattern_hash = v_last.pattern_hash AND s.deadlock_timestamp > clock_timestamp() - interval '1 hour';
  RETURN QUERY SELECT true, v_last.involved_pids,
    (CASE WHEN v_count >= 10 THEN 'CRITICAL' WHEN v_count >= 3 THEN 'HIGH' WHEN cardinality(v_last.involved_pids) > 2 THEN 'HIGH' ELSE 'MEDIUM' END)::varchar(20),
    format('PostgreSQL ended it at %s by cancelling %s; its transaction has to be run again.%s %s',
           to_char(v_last.deadlock_timestamp, 'HH24:MI:SS.MS TZ'), coalesce('the statement of pid ' || v_last.deadlock_victim_pid, 'one of the statements'),
           CASE WHEN v_count > 1 THEN format(' The same deadlock came %s times within the hour.', v_count) ELSE '' END, v_last.prevention_suggestion);
END
$$;
COMMENT ON FUNCTION lock_monitoring.detect_deadlocks(bytea) IS
  'One row: a deadlock alive now (CRITICAL) or the latest of the last 5 minutes (by how often its pattern came within the hour), else '
  'false and NONE. Takes what is new in the server log first. A chain of waits, however long, is none.';
ALTER FUNCTION lock_monitoring.detect_deadlocks(bytea) OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_monitoring.detect_deadlocks(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_monitoring.detect_deadlocks(bytea) TO lock_monitoring_role;
