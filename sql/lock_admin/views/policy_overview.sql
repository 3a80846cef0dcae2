CREATE OR REPLACE VIEW lock_admin.policy_overview AS
SELECT h.policy_bk AS policy, p.version, m.mode, m.load_date AS mode_since, m.reason AS mode_reason, m.changed_by AS mode_by,
       m.by_breaker, m.evidence, p.description, p.action, p.min_severity, p.min_blocked_seconds, p.min_blocked_sessions,
       p.max_per_hour, p.edited_by, p.load_date AS edited_at, h.policy_hk,
       (SELECT count(*) FROM lock_admin.action_log AS a
         WHERE a.step = 'signal' AND a.policy_hk = h.policy_hk AND a.logged_at > now() - interval '24 hours') AS stops_24h,
       (SELECT count(*) FROM lock_admin.policy_decision AS d
         WHERE d.policy_hk = h.policy_hk AND d.mode = 'dry_run' AND d.decided_at > now() - interval '24 hours') AS would_stop_24h
  FROM lock_admin.policy_h AS h
  JOIN lock_admin.policy_s AS p ON p.policy_hk = h.policy_hk AND p.load_end_date IS NULL
  JOIN lock_admin.policy_mode_s AS m ON m.policy_hk = h.policy_hk AND m.load_end_date IS NULL;
COMMENT ON VIEW lock_admin.policy_overview IS 'Each policy with its present rules and mode, and what it did in the last 24 hours.';
