-- The monitor's own records can be read; functions of lock_vault_owner write them.
GRANT SELECT ON ALL TABLES IN SCHEMA lock_engine TO lock_monitoring_role, lock_vault_owner;
