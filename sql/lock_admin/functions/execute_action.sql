CREATE OR REPLACE FUNCTION lock_admin.execute_action(p_action_id bigint)
RETURNS TABLE (action_id bigint, outcome text, code text, message text, waited_ms numeric, recovery_ms numeric, comparison jsonb)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s'
AS $$
#variable_conflict use_column
DECLARE
  v_request record;
  v_code text;
BEGIN
  IF current_user <> 'lock_door_owner' THEN PERFORM lock_engine.require_owner('lock_door_owner'); END IF;
  PERFORM lock_engine.require_writable('lock_admin.execute_action', false);
  SELECT a.* INTO v_request FROM lock_admin.action_log AS a WHERE a.action_id = p_action_id AND a.step = 'request';
  IF v_request.action_id IS NULL THEN
    v_code := 'unknown_request';
  ELSIF v_request.code IS NOT NULL THEN
    v_code := 'request_refused';
  ELSIF EXISTS (SELECT 1 FROM lock_admin.action_log AS a WHERE a.action_id = p_action_id AND a.step = 'signal') THEN
    v_code := 'already_executed';
  ELSIF pg_catalog.pg_xact_status(v_request.xact_id) IS DISTINCT FROM 'committed' THEN
    v_code := 'request_not_committed';
  END IF;
  IF v_code IS NOT NULL THEN
    RETURN QUERY
    SELECT r.action_id, r.outcome, r.code, r.message, NULL::numeric, NULL::numeric, NULL::jsonb
      FROM lock_admin.record_refusal(p_action_id, v_code) AS r;
  ELSE
    RETURN QUERY
    SELECT s.action_id, s.outcome, s.code, s.message, s.waited_ms, s.recovery_ms, s.comparison
      FROM lock_admin.signal_session(p_action_id, (lock_admin.setting('door.wait_seconds'))::numeric) AS s;
  END IF;
END
$$;
COMMENT ON FUNCTION lock_admin.execute_action(bigint) IS
  'Carries out a committed request: checks everything again in the statement that signals, waits until the session is gone, '
  'and returns the outcome: terminated, cancelled, already gone, refused, not permitted, still there. Times in milliseconds.';
