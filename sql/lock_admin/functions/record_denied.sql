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
  c_rows constant integer := 100;
  c_names constant integer := 50;
  v_action_id bigint;
  v_hour timestamptz := date_trunc('hour', clock_timestamp(), 'UTC');
  v_for text := CASE WHEN lock_admin.person(session_user::text, p_acting_for) LIKE 'web login %' THEN left(btrim(p_acting_for), 200)
                     ELSE '' END;
  v_login text := lock_catalog.readable(session_user::text);
  v_attempts bigint;
BEGIN
  IF current_user <> 'lock_door_owner' THEN PERFORM lock_engine.require_owner('lock_door_owner'); END IF;
  PERFORM lock_engine.require_writable('lock_admin.record_denied', false);
  -- Whoever may only read must not fill the disk, nor use up what is kept of others: so many rows are kept of each person in an
  -- hour, and so many people of each of the application's logins, as it can name any.
  IF NOT EXISTS (SELECT FROM lock_admin.denied_count AS d
                  WHERE d.hour = v_hour AND d.logged_by = v_login AND d.acting_for = v_for)
     AND (SELECT count(*) FROM lock_admin.denied_count AS d WHERE d.hour = v_hour AND d.logged_by = v_login) >= c_names THEN
    v_for := '(further people)';
  END IF;
  INSERT INTO lock_admin.denied_count AS d (hour, logged_by, acting_for, attempts, stored, first_at, last_at)
  VALUES (v_hour, v_login, v_for, 1, 1, clock_timestamp(), clock_timestamp())
  ON CONFLICT ON CONSTRAINT denied_count_pkey DO UPDATE
    SET attempts = d.attempts + 1, stored = least(d.stored + 1, c_rows), last_at = EXCLUDED.last_at
  RETURNING d.attempts INTO v_attempts;
  IF v_attempts > c_rows THEN
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
  'Records that somebody without lock_admin_role tried to stop a session. Returns the action''s number; NULL where it was only '
  'counted (lock_admin.denied_count), after 100 of the same person in an hour.';
