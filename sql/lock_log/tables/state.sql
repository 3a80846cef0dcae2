CREATE TABLE IF NOT EXISTS lock_log.state (
    state_id           integer PRIMARY KEY DEFAULT 1 CHECK (state_id = 1),
    state              text NOT NULL,
    readable           boolean NOT NULL,
    what_to_do         text,
    since              timestamptz NOT NULL,
    retry_at           timestamptz,
    file_name          text,
    log_format         text,
    position           bigint,
    file_size          bigint,
    modified_at        timestamptz,
    head_length        integer,
    head_hash          text,
    last_read_at       timestamptz,
    last_record_at     timestamptz,
    records_taken      bigint NOT NULL DEFAULT 0,
    records_unreadable bigint NOT NULL DEFAULT 0,
    skipped_bytes      bigint NOT NULL DEFAULT 0
);

DO $prefix$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a
                  WHERE a.attrelid = 'lock_log.state'::pg_catalog.regclass AND a.attname = 'settled' AND NOT a.attisdropped) THEN
    ALTER TABLE lock_log.state ADD COLUMN settled boolean NOT NULL DEFAULT true, ADD COLUMN prefix text, ADD COLUMN prefix_before text,
      ADD COLUMN prefix_until timestamptz;
  END IF;
END
$prefix$;
COMMENT ON TABLE lock_log.state IS 'How far the server log has been read, one row.';
COMMENT ON COLUMN lock_log.state.position IS 'Bytes of file_name that have been read.';
COMMENT ON COLUMN lock_log.state.file_size IS
    'Of file_name with the last reading that came to its end; until one has, of the first look at it.';
COMMENT ON COLUMN lock_log.state.head_hash IS
    'MD5 of the first head_length bytes: a file of the same name with another beginning is another file.';
COMMENT ON COLUMN lock_log.state.settled IS
    'false: what stood at the end of a stderr log may go on; if nothing has come until the next call, it is taken as it is.';
COMMENT ON COLUMN lock_log.state.prefix_before IS
    'The log_line_prefix before it was changed, which some processes may still write until prefix_until.';
COMMENT ON COLUMN lock_log.state.retry_at IS 'While the log cannot be read: not tried again before this.';
GRANT SELECT, INSERT, UPDATE, DELETE ON lock_log.state TO lock_vault_owner;
