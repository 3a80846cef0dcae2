-- Does the policy leave this blocker alone, and why? NULL: it would stop it. The same rule for the live graph and for the
-- back-test over history.
CREATE OR REPLACE FUNCTION lock_admin.policy_spares(
  p_policy lock_admin.policy_s, p_at timestamptz, p_user text, p_application text, p_database text, p_tenant text,
  p_relations text[], p_kind text, p_is_root boolean, p_blocked integer, p_seconds numeric)
RETURNS text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT CASE
    WHEN p_is_root IS NOT TRUE THEN 'waits itself'
    WHEN p_policy.user_patterns <> '{}' AND NOT lock_admin.name_matches(p_user, p_policy.user_patterns) THEN 'other user'
    WHEN p_policy.application_patterns <> '{}' AND NOT lock_admin.name_matches(p_application, p_policy.application_patterns)
      THEN 'other application'
    WHEN p_policy.database_patterns <> '{}' AND NOT lock_admin.name_matches(p_database, p_policy.database_patterns)
      THEN 'other database'
    WHEN p_policy.tenant_patterns <> '{}' AND NOT lock_admin.name_matches(p_tenant, p_policy.tenant_patterns) THEN 'other tenant'
    WHEN p_policy.relation_patterns <> '{}'
      AND NOT EXISTS (SELECT 1 FROM unnest(p_relations) AS r(name) WHERE lock_admin.name_matches(r.name, p_policy.relation_patterns))
      THEN 'other relation'
    WHEN p_policy.kinds <> '{}' AND NOT coalesce(p_kind = ANY (p_policy.kinds), false) THEN 'other kind of blocker'
    WHEN p_blocked < p_policy.min_blocked_sessions THEN 'too few sessions behind it'
    WHEN p_seconds < p_policy.min_blocked_seconds THEN 'not long enough'
    WHEN lock_engine.severity_rank(lock_engine.severity(p_blocked, p_seconds)) < lock_engine.severity_rank(p_policy.min_severity)
      THEN 'not severe enough'
    WHEN p_policy.time_windows <> '[]' AND NOT lock_admin.in_window(p_policy.time_windows, p_at) THEN 'outside its hours'
    WHEN NOT lock_admin.is_automatic_kind(p_kind) THEN 'a kind that only a person stops'
    WHEN lock_admin.in_window(p_policy.pause_windows, p_at) THEN 'maintenance window'
    WHEN lock_admin.name_matches(p_user, p_policy.protected_users) THEN 'protected user'
    WHEN lock_admin.is_protected_application(p_policy.protected_applications, p_application, p_user, p_database)
      THEN 'protected application'
  END
$$;
COMMENT ON FUNCTION lock_admin.policy_spares(lock_admin.policy_s, timestamptz, text, text, text, text, text[], text, boolean, integer, numeric) IS
  'Why a policy spares a blocker at a moment, or NULL if it would stop it.';
