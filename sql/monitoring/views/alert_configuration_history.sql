-- All versions of all alerts, without their recipients (how many there are, and whether they changed, can be seen).
CREATE OR REPLACE VIEW monitoring.alert_configuration_history AS
SELECT c.satellite_id,
       encode(c.alert_config_hk, 'hex') AS alert_key,
       c.load_date,
       c.load_end_date,
       c.alert_name,
       c.alert_category,
       c.alert_query,
       c.warning_threshold,
       c.critical_threshold,
       c.alert_severity,
       c.is_active,
       c.description,
       c.for_at_least_seconds,
       c.clear_after_seconds,
       c.repeat_minutes,
       c.escalate_minutes,
       c.snoozed_until,
       coalesce(cardinality(c.notification_recipients), 0) AS recipient_count,
       lag(c.notification_recipients) OVER w IS DISTINCT FROM c.notification_recipients
           OR lag(c.escalation_recipients) OVER w IS DISTINCT FROM c.escalation_recipients AS recipients_changed,
       c.changed_by,
       c.change_note,
       c.record_source
  FROM monitoring.alert_configuration_s AS c
WINDOW w AS (PARTITION BY c.alert_config_hk ORDER BY c.load_date);

COMMENT ON VIEW monitoring.alert_configuration_history IS 'Every version of every alert: who made it, when and why. No recipients.';
GRANT SELECT ON monitoring.alert_configuration_history TO lock_monitoring_role;
ALTER VIEW monitoring.alert_configuration_history OWNER TO lock_vault_owner;
