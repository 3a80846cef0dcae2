CREATE OR REPLACE FUNCTION lock_admin.policy_may_act(p_policy_hk bytea, p_version integer)
RETURNS text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT CASE
    WHEN lock_engine.disarmed_because() IS NOT NULL THEN 'disarmed'
    WHEN NOT EXISTS (
      SELECT 1 FROM lock_admin.policy_mode_s AS m JOIN lock_admin.policy_s AS p USING (policy_hk)
       WHERE m.policy_hk = p_policy_hk AND m.load_end_date IS NULL AND m.mode = 'armed' AND m.version = p_version
         AND p.load_end_date IS NULL AND p.version = p_version) THEN 'policy_not_armed'
    -- the row of the signal under way is counted
    WHEN (SELECT count(*) FROM lock_admin.action_log AS a
           WHERE a.step = 'signal' AND a.policy_hk = p_policy_hk AND a.logged_at > clock_timestamp() - interval '1 hour')
         > (SELECT p.max_per_hour FROM lock_admin.policy_s AS p
             WHERE p.policy_hk = p_policy_hk AND p.load_end_date IS NULL) THEN 'policy_limit'
  END
$$;
COMMENT ON FUNCTION lock_admin.policy_may_act(bytea, integer) IS
  'Internal: why a policy may not signal now (a code of lock_admin.refusal_message), or NULL.';
