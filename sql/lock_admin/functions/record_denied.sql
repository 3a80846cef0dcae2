-- Somebody without lock_admin_role tried all the same: on the record too, though nothing was looked at or done.
CREATE OR REPLACE FUNCTION lock_admin.record_denied(
  p_action text, p_pid integer, p_backend_start timestamptz, p_reason text, p_acting_for text, p_origin text)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  v_action_id bigint;
BEGIN
  IF current_user <> 'lock_door_owner' THEN PERFORM lock_engine.require_owner('lock_door_owner'); END IF;
  PERFORM lock_engine.require_writable('lock_admin.record_denied', false);
  -- whoever may only read must not fill the disk
  IF (SELECT count(*) FROM lock_admin.action_log AS a
       WHERE a.step = 'request' AND a.code = 'no_right' AND a.logged_at > clock_timestamp() - interval '1 hour') >= 10000 THEN
    RETURN NULL;
  END IF;
  INSERT INTO lock_admin.action_log (
    step, acting_for, origin, action, target_pid, target_backend_start, explicit, reason, code)
  VALUES (
    'request', left(p_acting_for, 200), CASE WHEN p_origin IN ('admin', 'command') THEN p_origin ELSE 'sql' END,
    left(p_action, 20), p_pid, p_backend_start, false, left(btrim(p_reason), 2000), 'no_right')
  RETURNING action_id INTO v_action_id;
  PERFORM lock_admin.record_refusal(v_action_id, 'no_right');
  RETURN v_action_id;
END
$$;
COMMENT ON FUNCTION lock_admin.record_denied(text, integer, timestamptz, text, text, text) IS
  'Records that somebody without lock_admin_role tried to stop a session. Returns the action''s number; NULL after 10,000 in an hour.';
