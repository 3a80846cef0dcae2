-- Arming takes evidence for this very version of the rules (a back-test, or a dry run long enough) and, where there are
-- two people who may, somebody else than the one who edited the rules last: another web login or another database role, never
-- another name that the same database role gives (lock_admin.person).
CREATE OR REPLACE FUNCTION lock_admin.set_policy_mode(
  p_policy text, p_mode text, p_reason text, p_changed_by text DEFAULT NULL, p_people integer DEFAULT NULL)
RETURNS TABLE (accepted boolean, code text, message text)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '5s'
AS $$
#variable_conflict use_column
DECLARE
  v_by text := lock_admin.person_name(session_user::text, p_changed_by);
  v_person text := lock_admin.person(session_user::text, p_changed_by);
  v_hk bytea;
  v_rules record;
  v_mode record;
  v_now timestamptz;
  v_evidence text;
  v_second text := lock_admin.setting('policy.second_person') #>> '{}';
  v_people integer;
  v_code text;
  v_message text;
BEGIN
  IF current_user <> 'lock_door_owner' THEN PERFORM lock_engine.require_owner('lock_door_owner'); END IF;
  PERFORM lock_engine.require_writable('lock_admin.set_policy_mode', false);
  SELECT h.policy_hk INTO v_hk FROM lock_admin.policy_h AS h WHERE h.policy_bk = p_policy FOR UPDATE;
  SELECT p.* INTO v_rules FROM lock_admin.policy_s AS p WHERE p.policy_hk = v_hk AND p.load_end_date IS NULL;
  SELECT m.* INTO v_mode FROM lock_admin.policy_mode_s AS m WHERE m.policy_hk = v_hk AND m.load_end_date IS NULL;
  v_now := clock_timestamp();
  IF v_hk IS NULL THEN
    v_code := 'unknown_policy'; v_message := 'There is no such policy.';
  ELSIF p_mode IS NULL OR p_mode NOT IN ('off', 'dry_run', 'armed') THEN
    v_code := 'unknown_mode'; v_message := 'A policy is off, dry_run or armed.';
  ELSIF coalesce(btrim(p_reason), '') = '' THEN
    v_code := 'reason_missing'; v_message := 'A reason is needed.';
  ELSIF p_mode = v_mode.mode THEN
    v_code := 'unchanged'; v_message := format('The policy is already %s.', replace(p_mode, '_', ' '));
  ELSIF p_mode = 'armed' THEN
    SELECT format('back-test %s of %s: would have stopped %s of %s in %s hours', b.backtest_id,
             to_char(b.ran_at, 'YYYY-MM-DD HH24:MI TZ'), b.stops, b.episodes,
             round(extract(epoch FROM b.period_to - b.period_from)::numeric / 3600, 1))
      INTO v_evidence
      FROM lock_admin.policy_backtest AS b
     WHERE b.policy_hk = v_hk AND b.version = v_rules.version
       -- a replay over nothing shows nothing
       AND b.episodes > 0
       AND b.ran_at > v_now - make_interval(days => (lock_admin.setting('policy.backtest_valid_days'))::integer)
     ORDER BY b.ran_at DESC LIMIT 1;
    IF v_evidence IS NULL AND v_mode.mode = 'dry_run' AND v_mode.version = v_rules.version
       AND v_mode.load_date <= v_now
           - make_interval(secs => (lock_admin.setting('policy.dry_run_hours'))::double precision * 3600) THEN
      v_evidence := format('dry run since %s', to_char(v_mode.load_date, 'YYYY-MM-DD HH24:MI TZ'));
    END IF;
    v_people := lock_admin.people_who_may_arm(session_user::text, p_people);
    IF v_evidence IS NULL THEN
      v_code := 'no_evidence';
      v_message := format('These rules (version %s) have neither a back-test over stored blocking nor a dry run of %s hours: do one of the two first.',
        v_rules.version, lock_admin.setting('policy.dry_run_hours'));
    -- of rules that an earlier release stored, the login is known and the name is what somebody gave
    ELSIF v_person = coalesce(v_rules.edited_person, lock_admin.person(v_rules.edited_login, v_rules.edited_by))
      AND (v_second = 'always' OR (v_second = 'auto' AND v_people >= 2)) THEN
      v_code := 'second_person';
      v_message := format('%s edited these rules last; somebody else has to arm them, another web login or another database role (setting policy.second_person).',
        coalesce(v_rules.edited_person, lock_admin.person(v_rules.edited_login, v_rules.edited_by)));
    END IF;
  END IF;
  IF v_code IS NULL THEN
    v_now := lock_admin.next_moment(v_hk);
    UPDATE lock_admin.policy_mode_s AS m SET load_end_date = v_now WHERE m.policy_hk = v_hk AND m.load_end_date IS NULL;
    INSERT INTO lock_admin.policy_mode_s (policy_hk, load_date, mode, version, reason, evidence, changed_by, changed_person)
    VALUES (v_hk, v_now, p_mode, v_rules.version, left(btrim(p_reason), 2000), v_evidence, v_by, v_person);
    v_message := format('"%s" is %s now.', p_policy, replace(p_mode, '_', ' ')) || coalesce(' Evidence: ' || v_evidence || '.', '');
  END IF;
  RETURN QUERY SELECT v_code IS NULL, v_code, v_message;
END
$$;
COMMENT ON FUNCTION lock_admin.set_policy_mode(text, text, text, text, integer) IS
  'Turns a policy off, to dry run, or arms it. p_changed_by, p_people: the web login, and how many web logins '
  'may arm; both count where the application''s login passes them. Refusals are returned.';
