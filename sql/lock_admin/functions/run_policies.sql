-- Called after each cycle. First carries out what an earlier call requested and committed, then looks at the graph and
-- files new requests: so that, as for a person, a request is on the record before anything is signalled. With pending
-- rows in the answer, call again in a new transaction.
CREATE OR REPLACE FUNCTION lock_admin.run_policies()
RETURNS TABLE (policy text, mode text, session_pid integer, decision text, message text, action_id bigint, pending boolean)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1s'
AS $$
#variable_conflict use_column
DECLARE
  v_pending record;
  v_done record;
BEGIN
  IF current_user <> 'lock_door_owner' THEN PERFORM lock_engine.require_owner('lock_door_owner'); END IF;
  PERFORM lock_engine.require_writable('lock_admin.run_policies');
  IF NOT EXISTS (SELECT 1 FROM lock_admin.policy_mode_s AS m WHERE m.load_end_date IS NULL AND m.mode <> 'off') THEN
    RETURN;
  END IF;
  IF lock_engine.disarmed_because() IS NOT NULL OR NOT pg_catalog.pg_try_advisory_xact_lock(460, 7) THEN
    RETURN;
  END IF;
  PERFORM lock_admin.follow_up();
  FOR v_pending IN
    SELECT r.action_id, r.target_pid, h.policy_bk, r.action
      FROM lock_admin.action_log AS r JOIN lock_admin.policy_h AS h ON h.policy_hk = r.policy_hk
     WHERE r.step = 'request' AND r.origin = 'policy' AND r.code IS NULL
       AND r.logged_at > clock_timestamp() - interval '5 minutes'
       AND pg_catalog.pg_xact_status(r.xact_id) = 'committed'
       AND NOT EXISTS (SELECT 1 FROM lock_admin.action_log AS d
                        WHERE d.action_id = r.action_id AND d.step IN ('signal', 'refusal'))
     ORDER BY r.action_id
  LOOP
    SELECT s.* INTO v_done FROM lock_admin.signal_session(v_pending.action_id, 1) AS s;
    RETURN QUERY SELECT v_pending.policy_bk, 'armed', v_pending.target_pid, v_done.outcome, v_done.message, v_pending.action_id, false;
  END LOOP;
  RETURN QUERY SELECT d.policy, d.mode, d.session_pid, d.decision, d.message, d.action_id, d.pending
                 FROM lock_admin.decide_policies() AS d;
END
$$;
COMMENT ON FUNCTION lock_admin.run_policies() IS
  'Runs the policies that are armed or in dry run. Costs one index look-up if all are off. Rows: what was decided or done; '
  'pending = requested now, carried out by the next call.';
