-- What the automatic resolution would do now: one row for each blocker, with the action or why it is spared.
-- Cancelling comes first where it helps (a statement is running and can be stopped); terminating after the grace period.
CREATE OR REPLACE FUNCTION lock_admin.resolve_plan(p_tenant_hk bytea, p_seconds integer)
RETURNS TABLE (
  pid integer, backend_start timestamptz, xact_start timestamptz, eligible boolean, action text, why text, severity text,
  blocked_total integer, blocked_for_seconds numeric, kind text, user_name text, application_name text, query text)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  v_rank integer := lock_engine.severity_rank(lock_admin.setting('auto_resolve.min_severity') #>> '{}');
  v_grace numeric := (lock_admin.setting('auto_resolve.grace_seconds'))::numeric;
  v_max integer := least(5, (lock_admin.setting('auto_resolve.max_per_run'))::integer);
  v_now timestamptz := clock_timestamp();
BEGIN
  IF current_user <> 'lock_door_owner' THEN PERFORM lock_engine.require_owner('lock_door_owner'); END IF;
  IF p_seconds IS NULL OR p_seconds < 0 THEN
    RAISE EXCEPTION 'The number of seconds must be 0 or more, not %. Nothing was done.', coalesce(p_seconds::text, 'NULL')
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF p_tenant_hk IS NOT NULL THEN
    PERFORM lock_engine.check_tenant(p_tenant_hk);
    -- whose a blocker is that no cycle has met yet
    PERFORM lock_engine.tenant_of(w.user_name, w.application_name) FROM lock_catalog.waits_for() AS w WHERE w.blocked_total > 0;
    IF lock_engine.ask_due() THEN
      PERFORM lock_engine.ask_site();
    END IF;
  END IF;
  RETURN QUERY
  WITH b AS MATERIALIZED (
    SELECT w.*, round(extract(epoch FROM v_now - w.blocking_since)::numeric, 1) AS seconds
      FROM lock_catalog.waits_for() AS w
     WHERE w.blocked_total > 0
       AND (p_tenant_hk IS NULL OR lock_engine.tenant_of(w.user_name, w.application_name) = p_tenant_hk)),
  judged AS (
    SELECT b.*, c.cancelled_at,
           CASE
             WHEN b.node < 0 THEN lock_admin.refusal_message('prepared_transaction', 0)
             WHEN NOT b.is_root THEN 'it waits itself; only roots are stopped.'
             WHEN lock_admin.refusal_code(b.pid, b.user_name, b.is_superuser, b.backend_type, NULL, b.query,
                    b.application_name, b.database_name, true) IS NOT NULL
               THEN lock_admin.refusal_message(lock_admin.refusal_code(b.pid, b.user_name, b.is_superuser, b.backend_type,
                      NULL, b.query, b.application_name, b.database_name, true), b.pid)
             WHEN NOT lock_admin.is_automatic_kind(b.kind) THEN format('only a person stops a blocker of its kind (%s).', b.kind)
             WHEN b.seconds < p_seconds THEN format('others have waited %s s, not %s s.', b.seconds, p_seconds)
             WHEN lock_engine.severity_rank(b.severity) < v_rank THEN format('it is %s; setting auto_resolve.min_severity is %s.',
                    b.severity, lock_admin.setting('auto_resolve.min_severity') #>> '{}')
             WHEN b.state = 'active' AND c.cancelled_at > v_now - make_interval(secs => v_grace::double precision)
               THEN format('its statement was cancelled %s s ago; it has %s s.',
                    round(extract(epoch FROM v_now - c.cancelled_at)::numeric, 1), v_grace)
           END AS spared
      FROM b
      CROSS JOIN LATERAL (
        SELECT max(a.logged_at) AS cancelled_at FROM lock_admin.action_log AS a
         WHERE a.step = 'signal' AND a.action = 'cancel' AND a.origin = 'auto_resolve'
           AND a.target_pid = b.pid AND a.target_backend_start = b.backend_start
           AND a.logged_at > v_now - interval '1 hour') AS c),
  ranked AS (
    SELECT j.*, row_number() OVER (PARTITION BY j.spared IS NULL
             ORDER BY lock_engine.severity_score(j.severity, j.blocked_total, j.seconds, j.blocked_seconds) DESC NULLS LAST, j.node) AS place
      FROM judged AS j)
  SELECT r.pid, r.backend_start, r.xact_start, r.spared IS NULL AND r.place <= v_max,
         CASE WHEN r.spared IS NULL AND r.place <= v_max
              THEN CASE WHEN r.state = 'active' AND r.cancelled_at IS NULL
                          AND (SELECT k.cancel FROM lock_engine.blocker_kinds() AS k WHERE k.kind = r.kind) <> 'no' THEN 'cancel'
                        ELSE 'terminate' END END,
         CASE WHEN r.spared IS NOT NULL THEN r.spared
              WHEN r.place > v_max THEN format('at most %s are stopped in one run.', v_max)
              ELSE format('%s: %s sessions wait behind it, the first for %s s.', r.severity, r.blocked_total, r.seconds) END,
         r.severity, r.blocked_total, r.seconds, r.kind, r.user_name, r.application_name, r.query
    FROM ranked AS r
   ORDER BY r.spared IS NULL DESC, r.place;
END
$$;
COMMENT ON FUNCTION lock_admin.resolve_plan(bytea, integer) IS
  'What auto_resolve_blocking would do now, and why each other blocker is spared. Records nothing, signals nothing.';
