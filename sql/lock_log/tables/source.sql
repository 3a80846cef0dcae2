CREATE TABLE IF NOT EXISTS lock_log.source (
    source       text PRIMARY KEY,
    position     bigint NOT NULL,
    head_length  integer NOT NULL,
    head_hash    text NOT NULL,
    last_read_at timestamptz NOT NULL
);

COMMENT ON TABLE lock_log.source IS 'How far files that were brought by a client (a local path, an upload) have been read.';
GRANT SELECT, INSERT, UPDATE, DELETE ON lock_log.source TO lock_vault_owner;
