-- Ages, severities and what those behind have waited are computed at reading time, so they are right between two cycles too.
CREATE OR REPLACE VIEW lock_monitoring.blocking_sessions_dashboard AS
WITH live AS (
  SELECT s.*,
         t.live_seconds, b.seconds::numeric AS live_blocked_seconds,
         lock_engine.blocker_severity(s.blocked_sessions_count, t.live_seconds, coalesce(s.is_root, true) OR coalesce(s.node = ANY (s.root_nodes), false)) AS live_severity
    FROM lock_monitoring.blocking_session_s s
    LEFT JOIN lock_engine.behind_at() b ON b.node = s.node
    CROSS JOIN LATERAL (SELECT extract(epoch FROM clock_timestamp() - s.blocking_since)::numeric AS live_seconds OFFSET 0) t
   WHERE s.load_end_date IS NULL
     AND ((SELECT c.checked_at FROM lock_engine.cycle_state c) > clock_timestamp() - interval '15 seconds'
          OR (s.node < 0 AND EXISTS (SELECT 1 FROM pg_catalog.pg_prepared_xacts p WHERE lock_catalog.readable(p.gid) = s.prepared_gid))
          OR (s.session_pid, s.session_start_time) IN (SELECT a.pid, a.backend_start FROM lock_catalog.alive a)))
SELECT l.session_pid,
       l.user_name,
       l.database_name,
       l.application_name,
       l.client_addr,
       l.session_state,
       l.blocked_sessions_count,
       l.total_locks_held,
       l.exclusive_locks_held,
       floor(greatest(l.live_seconds, 0))::integer AS blocking_duration_seconds,
       l.live_severity::varchar(20) AS blocking_severity,
       round(l.live_blocked_seconds, 1) AS blocking_impact_score,
       l.auto_kill_eligible,
       lock_engine.severity_rank(l.live_severity) - 1 AS escalation_level,
       left(l.current_query, 100) AS query_preview,
       l.last_activity,
       CASE l.live_severity
         WHEN 'CRITICAL' THEN 'IMMEDIATE' WHEN 'HIGH' THEN 'URGENT' WHEN 'MEDIUM' THEN 'SOON' ELSE 'WATCH' END AS urgency_level,
       l.recommended_action,
       l.kill_threshold_seconds,
       l.is_superuser,
       l.is_root,
       l.kind,
       l.node,
       l.session_start_time,
       l.blocking_since,
       l.root_nodes,
       l.waits_for,
       l.prepared_gid,
       l.satellite_id,
       encode(l.blocking_session_hk, 'hex') AS blocking_session_key,
       lock_engine.severity_score(l.live_severity, l.blocked_sessions_count, l.live_seconds, l.live_blocked_seconds) AS severity_score,
       l.tenant_claim
  FROM live l
 ORDER BY l.is_root DESC, severity_score DESC NULLS LAST, l.node;
COMMENT ON VIEW lock_monitoring.blocking_sessions_dashboard IS
  'Who blocks others now, root blockers first, by severity_score: hundreds are the severity (CRITICAL 400), the rest orders within it. blocking_duration_seconds: how long others have waited behind '
  'the session. blocking_impact_score: session-seconds waited behind it so far. pid 0 is a prepared transaction.';
