CREATE OR REPLACE FUNCTION lock_admin.record_refusal(p_action_id bigint, p_code text, p_detail text DEFAULT NULL)
RETURNS TABLE (action_id bigint, outcome text, code text, message text)
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  v_request record;
  v_outcome text := CASE p_code WHEN 'already_gone' THEN 'already gone' WHEN 'not_permitted' THEN 'not permitted' ELSE 'refused' END;
  v_message text;
BEGIN
  SELECT a.* INTO v_request FROM lock_admin.action_log AS a WHERE a.action_id = p_action_id AND a.step = 'request';
  v_message := lock_admin.refusal_message(p_code, v_request.target_pid, p_detail);
  INSERT INTO lock_admin.action_log (
    action_id, step, acting_for, origin, policy_hk, policy_version, action, target_pid, target_backend_start,
    target_xact_start, target_query_start, target_user, target_application, explicit, outcome, code, message)
  VALUES (
    p_action_id, 'refusal', v_request.acting_for, coalesce(v_request.origin, 'sql'), v_request.policy_hk,
    v_request.policy_version, v_request.action, v_request.target_pid, v_request.target_backend_start,
    v_request.target_xact_start, v_request.target_query_start, v_request.target_user, v_request.target_application,
    v_request.explicit, v_outcome, p_code, v_message);
  RETURN QUERY SELECT p_action_id, v_outcome, p_code, v_message;
END
$$;
COMMENT ON FUNCTION lock_admin.record_refusal(bigint, text, text) IS
  'Internal: writes down that an action was not carried out and why, and says it.';
