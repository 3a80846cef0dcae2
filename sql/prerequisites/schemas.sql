CREATE SCHEMA IF NOT EXISTS util;
CREATE SCHEMA IF NOT EXISTS auth;
CREATE SCHEMA IF NOT EXISTS monitoring;
CREATE SCHEMA IF NOT EXISTS lock_monitoring;
CREATE SCHEMA IF NOT EXISTS lock_catalog;
CREATE SCHEMA IF NOT EXISTS lock_engine;
CREATE SCHEMA IF NOT EXISTS lock_log;
CREATE SCHEMA IF NOT EXISTS lock_admin;

COMMENT ON SCHEMA lock_monitoring IS 'One Vault lock monitor: the published vault, its seven functions and its dashboards.';
COMMENT ON SCHEMA lock_catalog IS 'One Vault lock monitor: reads PostgreSQL''s locks and sessions; the only place where versions differ.';
COMMENT ON SCHEMA lock_engine IS 'One Vault lock monitor: internal helpers that write the vault, and the record of coverage.';
COMMENT ON SCHEMA lock_log IS 'One Vault lock monitor: reads deadlocks and lock waits from the server log.';
COMMENT ON SCHEMA lock_admin IS 'One Vault lock monitor: settings, policies, the guarded door and its action log.';
