-- Who may look into which schema. Nothing is granted to PUBLIC.
GRANT USAGE ON SCHEMA lock_monitoring, lock_catalog, lock_engine, lock_admin, lock_log, monitoring
    TO lock_monitoring_role, lock_vault_owner, lock_door_owner;
GRANT USAGE ON SCHEMA lock_monitoring, lock_catalog, lock_engine, lock_admin, monitoring
    TO lock_admin_role, lock_alert_sandbox;
GRANT USAGE ON SCHEMA lock_log, lock_engine, lock_admin TO lock_log_reader;
GRANT USAGE ON SCHEMA lock_admin TO lock_action_log_owner;
