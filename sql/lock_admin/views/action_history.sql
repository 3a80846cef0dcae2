CREATE OR REPLACE VIEW lock_admin.action_history AS
SELECT r.action_id,
       r.logged_at AS requested_at,
       r.logged_by,
       r.acting_for,
       r.origin,
       r.policy_hk,
       r.policy_version,
       r.action,
       r.target_pid,
       r.target_backend_start,
       r.target_xact_start,
       r.target_user,
       r.target_application,
       r.facts ->> 'database_name' AS database_name,
       r.explicit,
       r.reason,
       r.facts,
       r.prediction,
       (r.prediction ->> 'freed_count')::integer AS predicted_freed,
       (r.prediction ->> 'blocks')::integer AS blocked_at_request,
       s.logged_at AS signalled_at,
       o.logged_at AS ended_at,
       coalesce(o.outcome, CASE WHEN s.action_id IS NOT NULL THEN 'unknown' ELSE 'not carried out' END) AS outcome,
       o.code,
       o.message,
       o.waited_ms,
       o.recovery_ms,
       o.comparison,
       l.logged_at AS later_at,
       l.message AS later_message,
       h.policy_bk AS policy
  FROM lock_admin.action_log AS r
  LEFT JOIN lock_admin.action_log AS s ON s.action_id = r.action_id AND s.step = 'signal'
  LEFT JOIN LATERAL (
    SELECT x.* FROM lock_admin.action_log AS x
     WHERE x.action_id = r.action_id AND x.step IN ('outcome', 'refusal')
     ORDER BY (x.step = 'outcome') DESC, x.log_id LIMIT 1) AS o ON true
  LEFT JOIN LATERAL (
    SELECT x.* FROM lock_admin.action_log AS x
     WHERE x.action_id = r.action_id AND x.step = 'later' ORDER BY x.log_id LIMIT 1) AS l ON true
  LEFT JOIN lock_admin.policy_h AS h ON h.policy_hk = r.policy_hk
 WHERE r.step = 'request';
COMMENT ON VIEW lock_admin.action_history IS
  'One row for each action asked of the door: who or which policy, why, prediction, outcome, time to recovery (milliseconds).';
COMMENT ON COLUMN lock_admin.action_history.outcome IS
  'terminated, cancelled, already gone, refused, not permitted, still there; "not carried out" where nobody executed the request.';
