-- Settings: everybody who works for the monitor reads them, the admin role edits them, a trigger keeps the history.
GRANT SELECT ON lock_admin.setting
    TO lock_monitoring_role, lock_vault_owner, lock_door_owner, lock_log_reader, lock_alert_sandbox;
GRANT UPDATE (value, description) ON lock_admin.setting TO lock_admin_role;
GRANT SELECT ON lock_admin.setting_history TO lock_monitoring_role;
GRANT INSERT ON lock_admin.setting_history TO lock_door_owner;
