CREATE TABLE IF NOT EXISTS lock_log.source (
    source       text PRIMARY KEY,
    position     bigint NOT NULL,
    head_length  integer NOT NULL,
    head_hash    text NOT NULL,
    last_read_at timestamptz NOT NULL
);
DO $own$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a
                  WHERE a.attrelid = 'lock_log.source'::pg_catalog.regclass AND a.attname = 'own_server' AND NOT a.attisdropped) THEN
    ALTER TABLE lock_log.source ADD COLUMN own_server boolean NOT NULL DEFAULT false;
  END IF;
END
$own$;

COMMENT ON TABLE lock_log.source IS 'How far files that were brought by a client (a local path, an upload) have been read.';
GRANT SELECT, INSERT, UPDATE, DELETE ON lock_log.source TO lock_vault_owner;
