-- One transaction of the caller's: what it records goes with a rollback, the line in the server log stays.
CREATE OR REPLACE FUNCTION lock_admin.auto_resolve(p_tenant_hk bytea, p_seconds integer, p_dry_run boolean)
RETURNS TABLE (session_pid integer, action_taken text, resolution_result text, impact_assessment text)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s'
AS $$
#variable_conflict use_column
DECLARE
  v_plan record;
  v_request record;
  v_done record;
BEGIN
  IF current_user <> 'lock_door_owner' THEN PERFORM lock_engine.require_owner('lock_door_owner'); END IF;
  IF NOT coalesce(p_dry_run, true) THEN
    PERFORM lock_engine.require_writable('lock_monitoring.auto_resolve_blocking', false);
  END IF;
  FOR v_plan IN SELECT p.* FROM lock_admin.resolve_plan(p_tenant_hk, p_seconds) AS p LOOP
    session_pid := v_plan.pid;
    impact_assessment := v_plan.why;
    IF NOT v_plan.eligible THEN
      action_taken := 'none';
      resolution_result := 'spared';
    ELSIF coalesce(p_dry_run, true) THEN
      action_taken := 'would ' || v_plan.action;
      resolution_result := 'dry run';
    ELSE
      action_taken := v_plan.action;
      SELECT f.* INTO v_request
        FROM lock_admin.file_request(v_plan.action, v_plan.pid, v_plan.backend_start, v_plan.xact_start,
               'auto_resolve_blocking: ' || v_plan.why, false, NULL, 'auto_resolve', NULL, NULL) AS f;
      IF v_request.accepted THEN
        SELECT s.* INTO v_done FROM lock_admin.signal_session(v_request.action_id, 2) AS s;
        resolution_result := v_done.outcome;
        impact_assessment := v_plan.why || ' ' || v_done.message;
      ELSE
        resolution_result := CASE v_request.code WHEN 'already_gone' THEN 'already gone' ELSE 'refused' END;
        impact_assessment := v_plan.why || ' ' || v_request.message;
      END IF;
    END IF;
    RETURN NEXT;
  END LOOP;
END
$$;
COMMENT ON FUNCTION lock_admin.auto_resolve(bytea, integer, boolean) IS
  'Stops root blockers that have held up others for so many seconds, by the rules of lock_admin.resolve_plan(), through the door.';
