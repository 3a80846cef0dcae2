-- Retention: closed satellite rows, then links whose ends have no satellite any more, then hubs nobody points at; in
-- batches, each statement small. What is open is never deleted, whatever its age. The action log is exempt.
-- Hubs are deleted under the cycle's advisory lock, so that no cycle writes a satellite for a hub that is going: if a
-- cycle is running, hubs are left for the next cleanup.
CREATE OR REPLACE FUNCTION lock_monitoring.cleanup_old_data(p_retention_days integer DEFAULT 30)
RETURNS TABLE (cleanup_summary varchar(200), records_cleaned integer)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s'
AS $$
#variable_conflict use_column
DECLARE
  v_before timestamptz;
  v_batch constant integer := 10000;
  v_thing record;
  v_deleted bigint;
  v_count bigint;
  v_total bigint := 0;
BEGIN
  PERFORM lock_engine.require_writable('lock_monitoring.cleanup_old_data');
  IF p_retention_days IS NULL OR p_retention_days < 0 OR p_retention_days > 36500 THEN
    RAISE EXCEPTION 'p_retention_days must be between 0 and 36500 days, not %; nothing was deleted.',
      coalesce(p_retention_days::text, 'NULL') USING ERRCODE = 'invalid_parameter_value';
  END IF;
  v_before := clock_timestamp() - make_interval(days => p_retention_days);

  FOR v_thing IN
    SELECT * FROM (VALUES
      (1, 'lock_activity_s', 'load_end_date < $1', false),
      (2, 'blocking_session_s', 'load_end_date < $1', false),
      (3, 'deadlock_event_s', 'load_end_date < $1 OR (load_end_date IS NULL AND deadlock_timestamp < $1)', false),
      (4, 'lock_wait_analysis_s', 'load_end_date < $1 OR (load_end_date IS NULL AND analysis_period_end < $1)', false),
      (5, 'lock_blocking_l', 'load_date < $1 AND (NOT EXISTS (SELECT 1 FROM lock_monitoring.lock_activity_s s '
          'WHERE s.lock_activity_hk = t.lock_activity_hk) OR NOT EXISTS (SELECT 1 FROM lock_monitoring.blocking_session_s s '
          'WHERE s.blocking_session_hk = t.blocking_session_hk))', true),
      (6, 'deadlock_involvement_l', 'load_date < $1 AND NOT EXISTS (SELECT 1 FROM lock_monitoring.deadlock_event_s s '
          'WHERE s.deadlock_event_hk = t.deadlock_event_hk)', true),
      (7, 'lock_activity_h', 'load_date < $1 AND NOT EXISTS (SELECT 1 FROM lock_monitoring.lock_activity_s s '
          'WHERE s.lock_activity_hk = t.lock_activity_hk) AND NOT EXISTS (SELECT 1 FROM lock_monitoring.lock_blocking_l l '
          'WHERE l.lock_activity_hk = t.lock_activity_hk) AND NOT EXISTS (SELECT 1 FROM lock_monitoring.deadlock_involvement_l l '
          'WHERE l.lock_activity_hk = t.lock_activity_hk)', true),
      (8, 'blocking_session_h', 'load_date < $1 AND NOT EXISTS (SELECT 1 FROM lock_monitoring.blocking_session_s s '
          'WHERE s.blocking_session_hk = t.blocking_session_hk) AND NOT EXISTS (SELECT 1 FROM lock_monitoring.lock_blocking_l l '
          'WHERE l.blocking_session_hk = t.blocking_session_hk)', true),
      (9, 'deadlock_event_h', 'load_date < $1 AND NOT EXISTS (SELECT 1 FROM lock_monitoring.deadlock_event_s s '
          'WHERE s.deadlock_event_hk = t.deadlock_event_hk) AND NOT EXISTS (SELECT 1 FROM lock_monitoring.deadlock_involvement_l l '
          'WHERE l.deadlock_event_hk = t.deadlock_event_hk)', true),
      (10, 'lock_wait_analysis_h', 'load_date < $1 AND NOT EXISTS (SELECT 1 FROM lock_monitoring.lock_wait_analysis_s s '
          'WHERE s.lock_wait_analysis_hk = t.lock_wait_analysis_hk)', true)
    ) AS x (place, name, condition, needs_quiet) ORDER BY x.place
  LOOP
    IF v_thing.needs_quiet AND NOT pg_try_advisory_xact_lock(460, 1) THEN
      RETURN QUERY SELECT format('%s: left for the next cleanup, as a monitoring cycle is running', v_thing.name)::varchar(200), 0;
      CONTINUE;
    END IF;
    v_deleted := 0;
    LOOP
      EXECUTE format('DELETE FROM lock_monitoring.%1$I WHERE ctid = ANY (ARRAY('
                     'SELECT t.ctid FROM lock_monitoring.%1$I t WHERE %2$s LIMIT %3$s))', v_thing.name, v_thing.condition, v_batch)
        USING v_before;
      GET DIAGNOSTICS v_count = ROW_COUNT;
      v_deleted := v_deleted + v_count;
      EXIT WHEN v_count < v_batch;
    END LOOP;
    v_total := v_total + v_deleted;
    RETURN QUERY SELECT format('%s: %s rows older than %s deleted', v_thing.name, v_deleted,
                               to_char(v_before, 'YYYY-MM-DD HH24:MI TZ'))::varchar(200), v_deleted::integer;
  END LOOP;
  PERFORM lock_engine.forget_deadlocks(v_before);
  PERFORM lock_engine.roll_up_waits();
  DELETE FROM lock_engine.wait_rollup r WHERE r.hour < v_before;
  UPDATE lock_engine.wait_rollup_state s
     SET rolled_from = x.first, rolled_until = greatest(s.rolled_until, x.first)
    FROM (SELECT date_trunc('hour', v_before, 'UTC') + interval '1 hour' AS first) x
   WHERE s.rolled_from < x.first;
  DELETE FROM lock_engine.tenant_claim c WHERE c.looked_up_at < clock_timestamp() - interval '1 day';
  RETURN QUERY SELECT format('Total: %s rows deleted, kept %s days', v_total, p_retention_days)::varchar(200), v_total::integer;
END
$$;
COMMENT ON FUNCTION lock_monitoring.cleanup_old_data(integer) IS
  'Deletes what ended more than p_retention_days ago (default 30): satellites, links, then hubs nobody points at. One line a '
  'table with what was deleted, then the total. Open rows and the action log stay. Needs lock_admin_role.';
