CREATE OR REPLACE FUNCTION lock_admin.save_policy(p_policy text, p_rules jsonb, p_edited_by text DEFAULT NULL)
RETURNS TABLE (version integer, message text)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '5s'
AS $$
#variable_conflict use_column
DECLARE
  v_hk bytea := sha256(convert_to('lock policy|' || p_policy, 'UTF8'));
  v_diff bytea := sha256(convert_to(p_rules::text, 'UTF8'));
  v_by text := lock_admin.person_name(session_user::text, p_edited_by);
  v_person text := lock_admin.person(session_user::text, p_edited_by);
  v_now timestamptz;
  v_old record;
  v_mode record;
  v_version integer;
BEGIN
  IF current_user <> 'lock_door_owner' THEN PERFORM lock_engine.require_owner('lock_door_owner'); END IF;
  PERFORM lock_engine.require_writable('lock_admin.save_policy', false);
  IF p_policy IS NULL OR p_policy !~ '^[A-Za-z0-9][A-Za-z0-9 _.-]{0,99}$' THEN
    RAISE EXCEPTION 'A policy''s name has 1 to 100 letters, digits, blanks, dots, dashes or underscores.'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  PERFORM lock_admin.check_policy_rules(p_rules);
  INSERT INTO lock_admin.policy_h (policy_hk, policy_bk, record_source) VALUES (v_hk, p_policy, 'lock_admin.save_policy')
  ON CONFLICT (policy_hk) DO NOTHING;
  PERFORM 1 FROM lock_admin.policy_h AS h WHERE h.policy_hk = v_hk FOR UPDATE;
  v_now := lock_admin.next_moment(v_hk);
  SELECT p.* INTO v_old FROM lock_admin.policy_s AS p WHERE p.policy_hk = v_hk AND p.load_end_date IS NULL;
  IF v_old.hash_diff = v_diff THEN
    RETURN QUERY SELECT v_old.version, format('Nothing was changed: version %s has these rules.', v_old.version);
    RETURN;
  END IF;
  v_version := coalesce(v_old.version, 0) + 1;
  UPDATE lock_admin.policy_s AS p SET load_end_date = v_now WHERE p.policy_hk = v_hk AND p.load_end_date IS NULL;
  INSERT INTO lock_admin.policy_s (
    policy_hk, load_date, hash_diff, version, description, action, user_patterns, application_patterns, database_patterns,
    tenant_patterns, relation_patterns, kinds, min_severity, min_blocked_seconds, min_blocked_sessions, time_windows,
    pause_windows, protected_users, protected_applications, max_per_hour, max_per_run, grace_seconds, breaker_failures,
    breaker_minutes, edited_by, edited_person, record_source)
  SELECT v_hk, v_now, v_diff, v_version, coalesce(r.description, ''), r.action, coalesce(r.user_patterns, '{}'),
         coalesce(r.application_patterns, '{}'), coalesce(r.database_patterns, '{}'), coalesce(r.tenant_patterns, '{}'),
         coalesce(r.relation_patterns, '{}'), coalesce(r.kinds, '{}'), coalesce(r.min_severity, 'HIGH'), r.min_blocked_seconds,
         coalesce(r.min_blocked_sessions, 1), coalesce(r.time_windows, '[]'), coalesce(r.pause_windows, '[]'),
         coalesce(r.protected_users, '{}'), coalesce(r.protected_applications, '[]'), coalesce(r.max_per_hour, 5),
         coalesce(r.max_per_run, 1), coalesce(r.grace_seconds, 10), coalesce(r.breaker_failures, 3), coalesce(r.breaker_minutes, 5),
         v_by, v_person, 'lock_admin.save_policy'
    FROM jsonb_to_record(p_rules) AS r(
      description text, action text, user_patterns text[], application_patterns text[], database_patterns text[],
      tenant_patterns text[], relation_patterns text[], kinds text[], min_severity text, min_blocked_seconds numeric,
      min_blocked_sessions integer, time_windows jsonb, pause_windows jsonb, protected_users text[],
      protected_applications jsonb, max_per_hour integer, max_per_run integer, grace_seconds numeric,
      breaker_failures integer, breaker_minutes integer);

  -- other rules: what was tested is no longer what would act
  SELECT m.* INTO v_mode FROM lock_admin.policy_mode_s AS m WHERE m.policy_hk = v_hk AND m.load_end_date IS NULL;
  UPDATE lock_admin.policy_mode_s AS m SET load_end_date = v_now WHERE m.policy_hk = v_hk AND m.load_end_date IS NULL;
  INSERT INTO lock_admin.policy_mode_s (policy_hk, load_date, mode, version, reason, changed_by, changed_person)
  VALUES (v_hk, v_now, CASE WHEN v_mode.mode IN ('armed', 'dry_run') THEN 'dry_run' ELSE 'off' END, v_version,
          CASE WHEN v_old.version IS NULL THEN 'created' ELSE 'the rules were edited' END, v_by, v_person);
  RETURN QUERY SELECT v_version, format('Version %s of "%s" is saved.', v_version, p_policy)
    || CASE WHEN v_mode.mode = 'armed' THEN ' It was armed; it runs dry now, until somebody arms the new rules.' ELSE '' END;
END
$$;
COMMENT ON FUNCTION lock_admin.save_policy(text, jsonb, text) IS
  'Creates a policy or writes a new version of its rules (columns of lock_admin.policy_s as JSON). An armed policy falls back to dry run. '
  'p_edited_by: the web login; counts where the application''s login passes it.';
