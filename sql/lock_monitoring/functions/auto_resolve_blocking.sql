-- Published. With its caller's rights: lock_admin.auto_resolve() is the door and asks for lock_admin_role.
CREATE OR REPLACE FUNCTION lock_monitoring.auto_resolve_blocking(
  p_tenant_hk bytea DEFAULT NULL, p_max_blocking_duration_seconds integer DEFAULT 600, p_dry_run boolean DEFAULT true)
RETURNS TABLE (session_pid integer, action_taken varchar(100), resolution_result varchar(20), impact_assessment text)
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT r.session_pid, r.action_taken::varchar(100), r.resolution_result::varchar(20), r.impact_assessment
    FROM lock_admin.auto_resolve(p_tenant_hk, p_max_blocking_duration_seconds, p_dry_run) AS r
$$;
COMMENT ON FUNCTION lock_monitoring.auto_resolve_blocking(bytea, integer, boolean) IS
  'Stops sessions that have blocked others for at least so many seconds: roots only, five at most, cancel before terminate. '
  'The dry run (default) changes nothing and says what it would do and why each other blocker is spared.';
