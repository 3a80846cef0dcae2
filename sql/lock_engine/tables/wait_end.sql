-- Waits that ended a moment ago, for which the server log may still bring a record: a few seconds of them at most, none where no log is
-- read. lock_engine.store_locks writes them, lock_engine.settle_endings reads and deletes them.
CREATE TABLE IF NOT EXISTS lock_engine.wait_end (
    lock_activity_hk    bytea NOT NULL,
    load_date           timestamptz NOT NULL,
    lock_pid            integer NOT NULL,
    session_id          text NOT NULL,
    session_gone        boolean NOT NULL,
    lock_mode           text NOT NULL,
    object_key          text NOT NULL,
    wait_start          timestamptz NOT NULL,
    wait_start_is_bound boolean NOT NULL,
    last_seen_at        timestamptz NOT NULL,
    not_seen_at         timestamptz NOT NULL,
    PRIMARY KEY (lock_activity_hk, load_date)
);
COMMENT ON TABLE lock_engine.wait_end IS
    'Rows of lock_activity_s of waits that have just ended: what the server log says of them is still to be found.';
COMMENT ON COLUMN lock_engine.wait_end.session_gone IS 'Its session was gone as well when the wait was not seen any more.';
GRANT SELECT, INSERT, UPDATE, DELETE ON lock_engine.wait_end TO lock_vault_owner;
GRANT SELECT ON lock_engine.wait_end TO lock_monitoring_role;
