CREATE OR REPLACE VIEW monitoring.alert_event_history AS
SELECT e.satellite_id,
       encode(e.alert_event_hk, 'hex') AS event_key,
       e.load_date,
       e.load_end_date,
       e.event_state,
       e.level,
       e.value,
       e.sentence,
       e.notification_count,
       e.snoozed_until,
       e.note,
       e.changed_by
  FROM monitoring.alert_event_s AS e;

COMMENT ON VIEW monitoring.alert_event_history IS 'Every version of every alert event.';
GRANT SELECT ON monitoring.alert_event_history TO lock_monitoring_role;
ALTER VIEW monitoring.alert_event_history OWNER TO lock_vault_owner;
