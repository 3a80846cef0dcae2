-- The first step of every action, of a person, a policy or the automatic resolution: look, judge, write it down.
-- A request that is refused is on record with its refusal. Nothing is signalled here.
CREATE OR REPLACE FUNCTION lock_admin.file_request(
  p_action text, p_pid integer, p_backend_start timestamptz, p_xact_start timestamptz, p_reason text, p_explicit boolean,
  p_acting_for text, p_origin text, p_policy_hk bytea, p_policy_version integer)
RETURNS TABLE (action_id bigint, accepted boolean, code text, message text, facts jsonb)
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  v_automatic boolean := p_origin IN ('policy', 'auto_resolve');
  v_facts jsonb;
  v_prediction jsonb;
  v_code text;
  v_detail text;
  v_action_id bigint;
BEGIN
  PERFORM lock_engine.require_writable('lock_admin.request_action', false);
  IF p_pid IS NOT NULL AND p_pid > 0 THEN
    v_facts := lock_admin.session_facts(p_pid);
    v_prediction := v_facts -> 'prediction';
  END IF;
  v_code := CASE
    WHEN NOT (lock_admin.setting('door.enabled'))::boolean THEN 'door_closed'
    WHEN v_automatic AND lock_engine.disarmed_because() IS NOT NULL THEN 'disarmed'
    WHEN p_action IS NULL OR p_action NOT IN ('cancel', 'terminate') THEN 'unknown_action'
    WHEN p_pid <= 0 THEN 'prepared_transaction'
    WHEN p_pid IS NULL OR p_backend_start IS NULL THEN 'identity_missing'
    WHEN coalesce(btrim(p_reason), '') = '' THEN 'reason_missing'
    WHEN v_facts IS NULL THEN 'already_gone'
    WHEN (v_facts ->> 'backend_start')::timestamptz IS DISTINCT FROM p_backend_start THEN 'other_session'
    WHEN p_xact_start IS NOT NULL AND (v_facts ->> 'xact_start')::timestamptz IS DISTINCT FROM p_xact_start THEN 'other_transaction'
    WHEN v_facts ->> 'refusal_code' IS NOT NULL THEN v_facts ->> 'refusal_code'
    WHEN v_automatic AND lock_admin.is_protected_application(lock_admin.setting('door.protected_applications'),
           v_facts ->> 'application_name', v_facts ->> 'user_name', v_facts ->> 'database_name') THEN 'protected_application'
    WHEN p_action = 'cancel' AND v_facts ->> 'state' IS DISTINCT FROM 'active' THEN 'nothing_to_cancel'
    WHEN NOT coalesce(p_explicit, false) AND (v_prediction ->> 'blocks')::integer = 0 THEN 'no_longer_blocks'
    WHEN lock_admin.signals_in_last_hour() >= (lock_admin.setting('door.max_per_hour'))::integer THEN 'rate_limit'
  END;
  IF v_code = 'other_session' THEN
    v_detail := format('It connected at %s.', to_char((v_facts ->> 'backend_start')::timestamptz, 'YYYY-MM-DD HH24:MI:SS TZ'));
  END IF;

  INSERT INTO lock_admin.action_log (
    step, acting_for, origin, policy_hk, policy_version, action, target_pid, target_backend_start, target_xact_start,
    target_query_start, target_user, target_application, explicit, reason, facts, prediction, code)
  VALUES (
    'request', left(p_acting_for, 200), p_origin, p_policy_hk, p_policy_version, left(p_action, 20), p_pid, p_backend_start,
    p_xact_start, CASE WHEN p_action = 'cancel' AND v_code IS NULL THEN (v_facts ->> 'query_start')::timestamptz END,
    v_facts ->> 'user_name', v_facts ->> 'application_name', coalesce(p_explicit, false), left(btrim(p_reason), 2000),
    v_facts - 'prediction', v_prediction, v_code)
  RETURNING action_id INTO v_action_id;

  -- survives a rollback of the caller
  RAISE LOG 'one vault lock door: action % asks to % pid % connected % (login %): %', v_action_id, left(p_action, 20), p_pid,
    p_backend_start, session_user, coalesce(v_code, 'accepted');

  IF v_code IS NOT NULL THEN
    RETURN QUERY
    SELECT r.action_id, false, r.code, r.message, v_facts
      FROM lock_admin.record_refusal(v_action_id, v_code, v_detail) AS r;
  ELSE
    RETURN QUERY SELECT v_action_id, true, NULL::text, format('Request %s is on record.', v_action_id), v_facts;
  END IF;
END
$$;
COMMENT ON FUNCTION lock_admin.file_request(text, integer, timestamptz, timestamptz, text, boolean, text, text, bytea, integer) IS
  'Internal: judges and records a request to stop a session. Signals nothing.';
