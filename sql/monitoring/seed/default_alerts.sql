-- Alerts that are useful everywhere. One that exists, in whatever version, stays as it is. None has recipients: that
-- is for the site to say. Those that could be noisy come switched off.
DO $seed$
DECLARE
    v_alert record;
BEGIN
    FOR v_alert IN
        SELECT * FROM (VALUES
            ('LOCK_CRITICAL_BLOCKING', 'Critical blocking sessions', true, 'CRITICAL', 0, 1, 0,
             $q$SELECT count(*) FROM lock_monitoring.blocking_sessions_dashboard WHERE blocking_severity = 'CRITICAL'$q$,
             'Sessions that block so many others, or for so long, that somebody has to step in now. Look at the tree and stop the root.'),
            ('LOCK_LONG_BLOCKING', 'Long blocking', true, 'HIGH', 60, 300, 0,
             $q$SELECT coalesce(max(blocking_duration_seconds), 0) FROM lock_monitoring.blocking_sessions_dashboard$q$,
             'Seconds for which the longest present block has lasted.'),
            ('LOCK_IDLE_IN_TRANSACTION', 'Blocker idle in transaction', true, 'HIGH', 0, 5, 15,
             $q$SELECT count(*) FROM lock_monitoring.blocking_sessions_dashboard WHERE session_state LIKE 'idle in transaction%'$q$,
             'Sessions that hold others up while doing nothing: an application forgot to commit. Cancelling does nothing; only its end frees the others.'),
            ('LOCK_NEW_DEADLOCKS', 'New deadlocks', true, 'HIGH', 0, 10, 0,
             $q$SELECT count(*) + (SELECT deadlocks_proven_late_10_minutes FROM monitoring.alert_facts) FROM lock_monitoring.deadlock_events_dashboard WHERE deadlock_timestamp > clock_timestamp() - interval '10 minutes'$q$,
             'Deadlocks of the last ten minutes, and older ones that were proven within them. It clears by itself ten minutes after the last one.'),
            ('LOCK_CONVOY', 'Convoy behind queued DDL', true, 'CRITICAL', 3, 20, 0,
             $q$SELECT coalesce(max(blocked_total), 0) FROM monitoring.convoy_forecast$q$,
             'Sessions that queue behind a DDL statement which itself waits. Cancel the DDL, not the readers; it can be tried again with a lock_timeout.'),
            ('LOCK_CONVOY_TIME_LEFT', 'Connections run out behind a convoy', true, 'CRITICAL', 600, 120, 0,
             $q$SELECT coalesce(min(seconds_left), 86400) FROM monitoring.convoy_forecast$q$,
             'Seconds until max_connections is reached if the queue behind a DDL statement goes on growing as it does. Lower is worse.'),
            ('LOCK_TABLE_FULL', 'Lock table filling up', true, 'CRITICAL', 60, 85, 10,
             $q$SELECT percent FROM lock_catalog.lock_table_use$q$,
             'Percent of the lock table that PostgreSQL guarantees. Above 100 statements may fail with "out of shared memory", often only at 160 or more. Raise max_locks_per_transaction, or touch fewer tables in a transaction.'),
            ('LOCK_MONITOR_NOT_WATCHING', 'Monitor not watching', true, 'CRITICAL', 15, 60, 10,
             $q$SELECT coalesce(last_look_age_seconds, 86400) FROM lock_engine.monitor_status$q$,
             'Seconds since the monitoring loop last looked. What happens meanwhile is not recorded.'),
            ('LOCK_MONITOR_SKIPPING', 'Monitor cannot store', true, 'HIGH', 5, 60, 0,
             $q$SELECT coalesce(round(date_part('epoch', clock_timestamp() - skipping_since)::numeric, 1), 0) FROM lock_engine.monitor_status$q$,
             'Seconds for which the loop has looked but could not store, because another session holds what it needs. The message names that session.'),
            ('LOCK_LOG_NOT_READABLE', 'Server log not readable', true, 'HIGH', 300, NULL, 0,
             $q$SELECT log_unreadable_seconds FROM monitoring.alert_facts$q$,
             'Seconds for which the server log could not be read. Deadlocks are then found by sampling alone. manage.py lockmon_check says what to do.'),
            ('LOCK_DEADLOCKS_MISSED', 'Deadlocks missed', true, 'HIGH', 0, 5, 0,
             $q$SELECT deadlocks_missed_1_hour FROM monitoring.alert_facts$q$,
             'Deadlocks of the last hour that PostgreSQL counted and the monitor knows nothing about. Is the server log readable, is the loop running?'),
            ('LOCK_ACTION_REFUSED', 'Action refused', false, 'MEDIUM', 0, 10, 0,
             $q$SELECT actions_refused_1_hour FROM monitoring.alert_facts$q$,
             'Requests of the last hour to stop a session that were refused. The action log says whose and why.'),
            ('LOCK_POLICY_DISARMED', 'Policy disarmed', true, 'HIGH', 0, NULL, 0,
             $q$SELECT policies_disarmed FROM monitoring.alert_facts$q$,
             'Policies that the circuit breaker disarmed because stopping sessions did not help. Somebody has to look before they are armed again.'),
            ('LOCK_STORAGE_GROWTH', 'Storage growing faster than planned', false, 'MEDIUM', 20, 100, 0,
             $q$SELECT round(sum(c.relpages)::numeric * current_setting('block_size')::numeric / 1048576 / (SELECT greatest(1, date_part('epoch', clock_timestamp() - min(v.period_start)) / 86400)::numeric FROM lock_engine.coverage AS v), 1) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname IN ('lock_monitoring', 'lock_engine', 'monitoring', 'lock_admin') AND c.relkind IN ('r', 'i', 't')$q$,
             'Megabytes that the monitor''s own tables have grown by per day since its first record. Shorten the retention, or keep fewer granted locks.'),
            ('LOCK_ALERT_CHANNEL_DEAD', 'Alert channel not working', true, 'HIGH', 0, NULL, 0,
             $q$SELECT count(*) FROM monitoring.alert_channel WHERE consecutive_failures >= 3$q$,
             'Recipients to which the last three attempts failed. Other recipients are told by themselves; the page of each alert shows which one and why.')
        ) AS d (code, name, is_active, severity, warning, critical, for_at_least, query, description)
        WHERE NOT EXISTS (SELECT FROM monitoring.alert_configuration_h AS h
                           WHERE h.alert_config_hk = pg_catalog.sha256(pg_catalog.convert_to(d.code, 'UTF8')))
    LOOP
        INSERT INTO monitoring.alert_configuration_s (
            alert_config_hk, load_date, load_end_date, hash_diff, alert_name, alert_category, alert_query,
            warning_threshold, critical_threshold, alert_severity, is_active, notification_recipients, description,
            record_source, for_at_least_seconds, changed_by, change_note)
        VALUES (
            pg_catalog.sha256(pg_catalog.convert_to(v_alert.code, 'UTF8')), pg_catalog.clock_timestamp(), NULL,
            pg_catalog.sha256(pg_catalog.convert_to(v_alert.query, 'UTF8')), v_alert.name, 'LOCK_MONITORING', v_alert.query,
            v_alert.warning, v_alert.critical, v_alert.severity, v_alert.is_active, '{}', v_alert.description,
            'LOCK_MONITOR', v_alert.for_at_least, 'installation', 'installed with the monitor');
    END LOOP;
END
$seed$;
