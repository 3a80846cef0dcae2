-- A tenant is concerned by a blocker that is its own, or behind which one of its own sessions waits.
CREATE OR REPLACE FUNCTION lock_engine.tenant_figures(
  p_tenant_hk bytea, OUT locks_captured integer, OUT waiting_sessions integer, OUT blocking_sessions integer,
  OUT root_blockers integer, OUT critical_blockers integer, OUT recommendations text[])
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  WITH l AS MATERIALIZED (
    SELECT coalesce(s.lock_group, s.lock_pid) AS session, s.lock_granted, s.root_nodes, s.blocking_nodes, s.soft_blocking_nodes
      FROM lock_monitoring.lock_activity_s s
      JOIN lock_monitoring.lock_activity_h h ON h.lock_activity_hk = s.lock_activity_hk
     WHERE s.load_end_date IS NULL AND h.tenant_hk = p_tenant_hk),
  b AS MATERIALIZED (
    SELECT s.* FROM lock_monitoring.blocking_session_s s
      JOIN lock_monitoring.blocking_session_h h ON h.blocking_session_hk = s.blocking_session_hk
     WHERE s.load_end_date IS NULL
       AND (h.tenant_hk = p_tenant_hk
            OR EXISTS (SELECT 1 FROM l WHERE s.node = ANY (l.root_nodes) OR s.node = ANY (l.blocking_nodes)
                                          OR s.node = ANY (l.soft_blocking_nodes))))
  SELECT (SELECT count(*) FROM l)::integer,
         (SELECT count(DISTINCT l.session) FROM l WHERE NOT l.lock_granted)::integer,
         (SELECT count(*) FROM b)::integer, (SELECT count(*) FROM b WHERE b.is_root)::integer,
         (SELECT count(*) FROM b WHERE b.is_root AND b.blocking_severity = 'CRITICAL')::integer,
         (SELECT array_agg(format('%s: %s', b.blocking_severity, b.recommended_action)
                           ORDER BY lock_engine.severity_score(b.blocking_severity, b.blocked_sessions_count,
                             b.blocking_duration_seconds, b.blocked_seconds) DESC NULLS LAST, b.node)
            FROM b WHERE b.is_root)
$$;
COMMENT ON FUNCTION lock_engine.tenant_figures(bytea) IS 'The last cycle''s figures as far as they concern one tenant.';
