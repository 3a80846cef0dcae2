-- One row of numbers about the monitor itself that alerts watch and that lie in tables alerts may not read.
CREATE OR REPLACE VIEW monitoring.alert_facts AS
SELECT coalesce((SELECT round(date_part('epoch', clock_timestamp() - s.since)::numeric, 0)
                   FROM lock_log.state AS s WHERE NOT s.readable), 0) AS log_unreadable_seconds,
       coalesce((SELECT sum(l.missed)::integer FROM lock_engine.deadlock_ledger AS l
                  WHERE l.window_end > clock_timestamp() - interval '1 hour'), 0) AS deadlocks_missed_1_hour,
       (SELECT count(*)::integer FROM lock_admin.action_log AS a
         WHERE a.step = 'refusal' AND a.logged_at > clock_timestamp() - interval '1 hour')
         + d.not_stored::integer AS actions_refused_1_hour,
       (SELECT count(*)::integer FROM lock_admin.policy_mode_s AS p
         WHERE p.by_breaker AND p.load_end_date IS NULL) AS policies_disarmed,
       d.not_stored::integer AS denied_not_stored_1_hour,
       d.people::integer AS denied_people_1_hour,
       (SELECT count(DISTINCT e.deadlock_event_hk)::integer
          FROM lock_engine.deadlock_ledger AS l
          JOIN lock_log.event AS e ON e.ledger_id = l.ledger_id AND e.ledger_id IS NOT NULL
         WHERE l.window_end > clock_timestamp() - interval '10 minutes'
           AND e.logged_at <= clock_timestamp() - interval '10 minutes') AS deadlocks_proven_late_10_minutes
  FROM (SELECT coalesce(sum(x.attempts - x.stored), 0) AS not_stored, count(DISTINCT (x.logged_by, x.acting_for)) AS people
          FROM lock_admin.denied_count AS x
         WHERE x.last_at > clock_timestamp() - interval '1 hour') AS d;

COMMENT ON VIEW monitoring.alert_facts IS 'One row: how long the server log has been unreadable, deadlocks missed, actions refused, policies disarmed.';
COMMENT ON COLUMN monitoring.alert_facts.denied_not_stored_1_hour IS
    'Denied attempts that were counted only (lock_admin.denied_count), of hours that went on within the last one; part of actions_refused_1_hour.';
COMMENT ON COLUMN monitoring.alert_facts.denied_people_1_hour IS 'How many people, by database role and name, were denied in the last hour.';
COMMENT ON COLUMN monitoring.alert_facts.deadlocks_proven_late_10_minutes IS
    'Deadlocks older than ten minutes that their database counted within the last ten: the victim''s client had left its failed transaction open.';
COMMENT ON COLUMN monitoring.alert_facts.policies_disarmed IS 'Policies that the circuit breaker disarmed and nobody has set since.';
GRANT SELECT ON monitoring.alert_facts TO lock_monitoring_role, lock_alert_sandbox;
GRANT SELECT ON lock_admin.policy_mode_s, lock_admin.denied_count TO lock_vault_owner;
ALTER VIEW monitoring.alert_facts OWNER TO lock_vault_owner;
