CREATE TABLE IF NOT EXISTS lock_admin.setting_history (
    setting_history_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name               text NOT NULL,
    old_value          jsonb,
    new_value          jsonb,
    changed_at         timestamp with time zone NOT NULL,
    changed_by         text NOT NULL
);

COMMENT ON TABLE lock_admin.setting_history IS
    'Every change of a setting, written by a trigger. old_value is NULL when it was added, new_value when it was removed.';
