-- Alerts: a new version is inserted, never an old one changed. Recipients are for the admin role alone.
GRANT INSERT, SELECT ON monitoring.alert_configuration_s TO lock_admin_role;
GRANT SELECT ON monitoring.alert_configuration_h TO lock_monitoring_role, lock_alert_sandbox;
GRANT SELECT (alert_config_hk, load_date, load_end_date, hash_diff, alert_name, alert_category, alert_query,
              warning_threshold, critical_threshold, alert_severity, is_active, description, record_source, satellite_id,
              for_at_least_seconds, clear_after_seconds, repeat_minutes, escalate_minutes, snoozed_until, changed_by, change_note)
    ON monitoring.alert_configuration_s TO lock_monitoring_role;
GRANT SELECT, INSERT ON monitoring.alert_configuration_h TO lock_vault_owner;
-- UPDATE of one column of the hub is what SELECT .. FOR UPDATE asks for.
GRANT UPDATE (record_source) ON monitoring.alert_configuration_h TO lock_vault_owner;
GRANT SELECT, UPDATE (load_end_date) ON monitoring.alert_configuration_s TO lock_vault_owner;

-- The guide's INSERT calls the platform's helpers.
DO $helpers$
BEGIN
    IF NOT has_schema_privilege('lock_admin_role', 'util', 'USAGE') THEN
        GRANT USAGE ON SCHEMA util TO lock_admin_role;
    END IF;
END
$helpers$;
