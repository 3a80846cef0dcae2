-- A session that was still there when the door stopped waiting for it: has it gone since? Said once, in a row of its own.
CREATE OR REPLACE FUNCTION lock_admin.follow_up()
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_found integer;
BEGIN
  IF current_user <> 'lock_door_owner' THEN PERFORM lock_engine.require_owner('lock_door_owner'); END IF;
  PERFORM lock_engine.require_writable('lock_admin.follow_up', false);
  IF NOT EXISTS (
    SELECT 1 FROM lock_admin.action_log AS a
     WHERE a.step = 'signal' AND a.logged_at > clock_timestamp() - interval '1 day') THEN
    RETURN 0;
  END IF;
  PERFORM pg_catalog.pg_stat_clear_snapshot();
  INSERT INTO lock_admin.action_log (
    action_id, step, acting_for, origin, policy_hk, policy_version, action, target_pid, target_backend_start, target_user,
    target_application, outcome, message)
  SELECT o.action_id, 'later', o.acting_for, o.origin, o.policy_hk, o.policy_version, o.action, o.target_pid,
         o.target_backend_start, o.target_user, o.target_application,
         CASE o.action WHEN 'cancel' THEN 'cancelled' ELSE 'terminated' END,
         CASE o.action WHEN 'cancel' THEN format('The statement of %s is over now.', o.target_pid)
                       ELSE format('%s is gone now.', o.target_pid) END
    FROM lock_admin.action_log AS s
    JOIN lock_admin.action_log AS o ON o.action_id = s.action_id AND o.step = 'outcome' AND o.outcome = 'still there'
   WHERE s.step = 'signal' AND s.logged_at > clock_timestamp() - interval '1 day'
     AND NOT EXISTS (SELECT 1 FROM lock_admin.action_log AS l WHERE l.action_id = o.action_id AND l.step = 'later')
     AND NOT EXISTS (
       SELECT 1 FROM lock_catalog.sessions AS x
        WHERE x.pid = o.target_pid AND x.backend_start = o.target_backend_start
          AND (o.action = 'terminate' OR (x.state = 'active' AND x.query_start = o.target_query_start)));
  GET DIAGNOSTICS v_found = ROW_COUNT;
  RETURN v_found;
END
$$;
COMMENT ON FUNCTION lock_admin.follow_up() IS
  'Records for actions of the last day whose session was still there that it has gone since. Returns how many.';
