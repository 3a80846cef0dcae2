CREATE OR REPLACE FUNCTION lock_monitoring.detect_blocking_sessions(
  p_tenant_hk bytea DEFAULT NULL, p_min_blocking_duration_seconds integer DEFAULT 30)
RETURNS TABLE (blocking_session_id integer, blocked_sessions_count integer, blocking_duration_seconds integer,
               blocking_severity varchar(20), recommended_action text)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1s'
AS $$
#variable_conflict use_column
DECLARE
  v_outcome text;
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  PERFORM lock_engine.require_writable('lock_monitoring.detect_blocking_sessions');
  PERFORM lock_engine.check_tenant(p_tenant_hk);
  IF p_min_blocking_duration_seconds IS NULL OR p_min_blocking_duration_seconds < 0 THEN
    RAISE EXCEPTION 'p_min_blocking_duration_seconds must be 0 or more seconds, not %.',
      coalesce(p_min_blocking_duration_seconds::text, 'NULL') USING ERRCODE = 'invalid_parameter_value';
  END IF;
  SELECT c.outcome INTO v_outcome FROM lock_engine.run_cycle(false) c;
  IF v_outcome LIKE 'skipped%' THEN
    RAISE NOTICE '%; what follows was stored by the last good cycle', v_outcome;
  END IF;
  BEGIN
    IF p_tenant_hk IS NOT NULL THEN
      PERFORM lock_engine.ask_site_here();
    END IF;
    RETURN QUERY
    SELECT d.session_pid, d.blocked_sessions_count, d.blocking_duration_seconds, d.blocking_severity, d.recommended_action
      FROM lock_monitoring.blocking_sessions_dashboard d
     WHERE d.blocking_duration_seconds >= p_min_blocking_duration_seconds
       AND (p_tenant_hk IS NULL OR EXISTS (
         SELECT 1 FROM lock_monitoring.blocking_session_s s
           JOIN lock_monitoring.blocking_session_h h ON h.blocking_session_hk = s.blocking_session_hk
          WHERE s.satellite_id = d.satellite_id
            AND (h.tenant_hk = p_tenant_hk OR EXISTS (
              SELECT 1 FROM lock_monitoring.lock_blocking_l l
               WHERE l.blocking_session_hk = h.blocking_session_hk AND l.tenant_hk = p_tenant_hk))))
     ORDER BY d.is_root DESC, d.severity_score DESC NULLS LAST, d.session_pid;
  EXCEPTION
    WHEN lock_not_available THEN
      RAISE EXCEPTION 'The vault cannot be read now: %.',
        lock_engine.cycle_blocker_named('a table of it is locked by another session') USING ERRCODE = 'lock_not_available';
  END;
  PERFORM lock_engine.place_rows();
END
$$;
COMMENT ON FUNCTION lock_monitoring.detect_blocking_sessions(bytea, integer) IS
  'Runs a cycle and returns who blocks others now: root blockers first, by severity. blocking_duration_seconds is how long '
  'others have waited behind the session; the minimum filters what is returned, never what is stored. pid 0 is a prepared '
  'transaction. A tenant gets its own blockers and those behind which its sessions wait.';
