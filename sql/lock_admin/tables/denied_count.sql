-- Denied attempts by hour and by who tried. The first ones of an hour are in the action log one by one, all are counted here.
CREATE TABLE IF NOT EXISTS lock_admin.denied_count (
    hour       timestamp with time zone NOT NULL,
    logged_by  text NOT NULL,
    acting_for text NOT NULL,
    attempts   bigint NOT NULL,
    stored     bigint NOT NULL,
    first_at   timestamp with time zone NOT NULL,
    last_at    timestamp with time zone NOT NULL,
    PRIMARY KEY (hour, logged_by, acting_for)
);
CREATE INDEX IF NOT EXISTS idx_denied_count_last ON lock_admin.denied_count (last_at DESC);

COMMENT ON TABLE lock_admin.denied_count IS
    'How often somebody without lock_admin_role tried to stop a session, one row for each hour, database role and person. Exempt from retention.';
COMMENT ON COLUMN lock_admin.denied_count.acting_for IS
    'The web login, where one of the application''s logins passes it (lock_admin.person), else ""; "(further people)" beyond 50 in an hour.';
COMMENT ON COLUMN lock_admin.denied_count.stored IS 'How many of the attempts are rows of lock_admin.action_log, too.';
