CREATE TABLE IF NOT EXISTS lock_admin.setting (
    name        text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$'),
    value       jsonb NOT NULL,
    description text NOT NULL,
    changed_at  timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    changed_by  text NOT NULL DEFAULT session_user
);

COMMENT ON TABLE lock_admin.setting IS
    'Settings of the monitor, one row each. lock_admin_role edits the value; every change is kept in lock_admin.setting_history.';
COMMENT ON COLUMN lock_admin.setting.value IS 'JSON: a number, a boolean, a string or a list.';
