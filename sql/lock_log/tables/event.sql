CREATE TABLE IF NOT EXISTS lock_log.event (
    event_id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    record_hash       text NOT NULL UNIQUE,
    kind              text NOT NULL,
    logged_at         timestamptz NOT NULL,
    pid               integer NOT NULL,
    session_id        text,
    sqlstate          text,
    user_name         text,
    database_name     text,
    application_name  text,
    client            text,
    lock_mode         text,
    lock_type         text,
    object_text       text,
    database_oid      oid,
    relation_oid      oid,
    page              integer,
    tuple             integer,
    transactionid     bigint,
    waited_ms         numeric,
    detail            jsonb,
    statement         text,
    context           text,
    excerpt           text,
    source            text NOT NULL,
    stored_at         timestamptz NOT NULL,
    deadlock_event_hk bytea,
    handled           boolean NOT NULL DEFAULT true
);
DO $standing$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a
                  WHERE a.attrelid = 'lock_log.event'::pg_catalog.regclass AND a.attname = 'standing' AND NOT a.attisdropped) THEN
    ALTER TABLE lock_log.event ADD COLUMN standing text, ADD COLUMN proof text, ADD COLUMN there_at timestamptz, ADD COLUMN ledger_id bigint,
      ADD COLUMN whole_seconds boolean, ADD COLUMN at_byte bigint;
    UPDATE lock_log.event e SET standing = 'claimed' WHERE pg_catalog.strpos(e.context, 'RAISE') > 0;
  END IF;
END
$standing$;
CREATE INDEX IF NOT EXISTS idx_event_whole_seconds ON lock_log.event (logged_at) WHERE whole_seconds;
CREATE INDEX IF NOT EXISTS idx_event_logged_at ON lock_log.event (logged_at);
CREATE INDEX IF NOT EXISTS idx_event_pid ON lock_log.event (pid, logged_at);
CREATE INDEX IF NOT EXISTS idx_event_unhandled ON lock_log.event (logged_at) WHERE NOT handled;
CREATE INDEX IF NOT EXISTS idx_event_ledger_id ON lock_log.event (ledger_id) WHERE ledger_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_event_claimed ON lock_log.event (logged_at)
  WHERE standing = 'claimed' AND deadlock_event_hk IS NULL AND kind IN ('deadlock', 'deadlock_wait');

COMMENT ON TABLE lock_log.event IS
    'What the server log says about locks: deadlocks, waits, timeouts, cancelled waits. Nothing else of the log is kept.';
COMMENT ON COLUMN lock_log.event.kind IS
    'deadlock, waiting, acquired, deadlock_wait, failed_wait, rearranged, lock_timeout, not_available (NOWAIT), lock_failure (the same, with who held '
    'it: log_lock_failures), cancelled, terminated, autovacuum_cancelled, recovery_conflict.';
COMMENT ON COLUMN lock_log.event.record_hash IS 'Equal for the same record whatever file and format it was read from.';
COMMENT ON COLUMN lock_log.event.waited_ms IS 'Milliseconds waited when the line was written (log_lock_waits); exact for acquired.';
COMMENT ON COLUMN lock_log.event.detail IS
    'For a deadlock its edges and statements; for a wait the holders and the queue, as PostgreSQL wrote them.';
COMMENT ON COLUMN lock_log.event.handled IS 
    'false: a deadlock (or a wait that ended in one) that has not been merged into an event yet, or a claimed one that waits for its proof.';
COMMENT ON COLUMN lock_log.event.whole_seconds IS
    'true: its log has no milliseconds, logged_at is the beginning of the second (NULL: not told by an earlier release).';
COMMENT ON COLUMN lock_log.event.at_byte IS 'Of such a record: the byte of its file at which it begins, which tells it from its likes.';
COMMENT ON COLUMN lock_log.event.standing IS
    'proven, or claimed: whoever can run a statement could have written it. NULL: recorded by an earlier release, which did not tell; counts as proven.';
COMMENT ON COLUMN lock_log.event.proof IS
    'What proves it: code (csvlog or jsonlog), sampling (a look saw the cycle), counter (its database counted it). NULL while it is claimed.';
COMMENT ON COLUMN lock_log.event.there_at IS
    'Of a claimed deadlock: when its session was last seen in the same transaction. The counter may not move before that ends.';
COMMENT ON COLUMN lock_log.event.ledger_id IS 'The line of lock_engine.deadlock_ledger that proves it (proof counter).';
GRANT SELECT ON lock_log.event TO lock_monitoring_role;
GRANT SELECT, INSERT, UPDATE, DELETE ON lock_log.event TO lock_vault_owner;
