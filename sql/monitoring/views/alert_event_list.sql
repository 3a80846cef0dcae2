CREATE OR REPLACE VIEW monitoring.alert_event_list AS
SELECT encode(e.alert_event_hk, 'hex') AS event_key,
       e.satellite_id,
       encode(e.alert_config_hk, 'hex') AS alert_key,
       coalesce(c.alert_name, encode(e.alert_config_hk, 'hex')) AS alert_name,
       c.alert_category,
       c.alert_severity,
       e.event_state,
       e.level,
       e.worst_level,
       e.value,
       e.worst_value,
       e.sentence,
       e.started_at,
       e.raised_at,
       e.last_notified_at,
       e.notification_count,
       e.escalated_at,
       e.acknowledged_at,
       e.acknowledged_by,
       e.snoozed_until,
       e.resolved_at,
       e.resolved_by,
       e.note,
       e.load_date AS changed_at,
       e.changed_by,
       (e.event_state <> 'resolved') AS is_open
  FROM monitoring.alert_event_s AS e
  LEFT JOIN monitoring.alert_configuration_s AS c ON c.alert_config_hk = e.alert_config_hk AND c.load_end_date IS NULL
 WHERE e.load_end_date IS NULL;

COMMENT ON VIEW monitoring.alert_event_list IS 'One row per alert event: its present version.';
GRANT SELECT ON monitoring.alert_event_list TO lock_monitoring_role;
ALTER VIEW monitoring.alert_event_list OWNER TO lock_vault_owner;
