CREATE TABLE IF NOT EXISTS lock_monitoring.lock_activity_s (
    lock_activity_hk        bytea NOT NULL REFERENCES lock_monitoring.lock_activity_h (lock_activity_hk),
    load_date               timestamp with time zone NOT NULL DEFAULT util.current_load_date(),
    load_end_date           timestamp with time zone,
    hash_diff               bytea NOT NULL,
    lock_type               character varying(50) NOT NULL,
    lock_mode               character varying(50) NOT NULL,
    relation_name           character varying(200),
    relation_type           character varying(50),
    database_name           character varying(100),
    schema_name             character varying(100),
    table_name              character varying(100),
    index_name              character varying(100),
    lock_pid                integer NOT NULL,
    session_id              character varying(100),
    user_name               character varying(100),
    application_name        character varying(200),
    client_addr             inet,
    query_text              text,
    query_start             timestamp with time zone,
    lock_acquired_time      timestamp with time zone,
    lock_duration_seconds   integer,
    wait_event_type         character varying(50),
    wait_event              character varying(100),
    lock_granted            boolean DEFAULT false,
    lock_fastpath           boolean DEFAULT false,
    lock_virtualtransaction character varying(50),
    lock_transactionid      bigint,
    blocking_pid            integer,
    blocked_by_count        integer DEFAULT 0,
    blocking_count          integer DEFAULT 0,
    lock_priority           integer DEFAULT 0,
    lock_impact_score       numeric,
    resolution_action       character varying(100),
    resolution_timestamp    timestamp with time zone,
    record_source           character varying(100) NOT NULL,
    PRIMARY KEY (lock_activity_hk, load_date)
);

-- Columns of our own come last; a site's existing table gets them here.
CALL pg_temp.add_columns('lock_monitoring.lock_activity_s', ARRAY[
    'satellite_id bigint GENERATED ALWAYS AS IDENTITY',
    'backend_start timestamp with time zone',
    'wait_start timestamp with time zone',
    'wait_start_is_bound boolean',
    'held_since_at_least timestamp with time zone',
    'blocking_nodes bigint[]',
    'soft_blocking_nodes bigint[]',
    'root_nodes bigint[]',
    'run_head bigint',
    'queue_position integer',
    'database_oid oid',
    'relation_oid oid',
    'row_page integer',
    'row_tuple integer',
    'object_key text',
    'object_name text',
    'session_state text',
    'transaction_start timestamp with time zone',
    'query_truncated boolean',
    'query_id bigint',
    'query_fingerprint text',
    'fingerprint bigint',
    'refresh_at timestamp with time zone',
    'ended_by timestamp with time zone',
    'lock_group integer',
    'beside text',
    'last_seen_at timestamp with time zone',
    'not_seen_at timestamp with time zone',
    'log_end_at timestamp with time zone',
    'waited_ms numeric',
    'tenant_claim text'
]);

COMMENT ON TABLE lock_monitoring.lock_activity_s IS
    'Satellite: what was known about a lock and when. A row is written only when something changed; one row per lock is open (load_end_date IS NULL) while it lives.';
COMMENT ON COLUMN lock_monitoring.lock_activity_s.satellite_id IS
    'One number per row, for pages that need a single key.';
COMMENT ON COLUMN lock_monitoring.lock_activity_s.session_id IS
    'The session as the server log names it (%c): start in whole seconds and pid, both in hexadecimal. Release candidate 1 rounded the second up for half of all sessions.';
COMMENT ON COLUMN lock_monitoring.lock_activity_s.backend_start IS
    'When the session connected: with the pid it names one session, also after the pid is used again.';
COMMENT ON COLUMN lock_monitoring.lock_activity_s.wait_start IS
    'When the wait began (pg_locks.waitstart; before PostgreSQL 14 see wait_start_is_bound).';
COMMENT ON COLUMN lock_monitoring.lock_activity_s.wait_start_is_bound IS
    'true: wait_start is the earliest possible moment, so a duration from it is an upper bound.';
COMMENT ON COLUMN lock_monitoring.lock_activity_s.held_since_at_least IS
    'A granted lock was held at this moment already; PostgreSQL does not tell when it was taken.';
COMMENT ON COLUMN lock_monitoring.lock_activity_s.blocking_nodes IS
    'Nodes that hard-block this request: a session pid, or minus the xid of a prepared transaction.';
COMMENT ON COLUMN lock_monitoring.lock_activity_s.soft_blocking_nodes IS
    'Nodes queued ahead of this request in a conflicting mode.';
COMMENT ON COLUMN lock_monitoring.lock_activity_s.root_nodes IS
    'Blockers at the start of the chain: they wait for nobody.';
COMMENT ON COLUMN lock_monitoring.lock_activity_s.run_head IS
    'Node at the head of the run of like requests in the queue.';
COMMENT ON COLUMN lock_monitoring.lock_activity_s.queue_position IS
    'Position in that run; 1 is the head.';
COMMENT ON COLUMN lock_monitoring.lock_activity_s.object_key IS
    'Stable key of the locked object, part of the business key.';
COMMENT ON COLUMN lock_monitoring.lock_activity_s.object_name IS
    'The locked object in words.';
COMMENT ON COLUMN lock_monitoring.lock_activity_s.fingerprint IS
    '64-bit digest of what makes a row worth a new version.';
COMMENT ON COLUMN lock_monitoring.lock_activity_s.refresh_at IS
    'Next moment at which an unchanged row gets a new version, on a geometric scale.';
COMMENT ON COLUMN lock_monitoring.lock_activity_s.resolution_action IS
    'How it ended: granted, released, cancelled (a wait that ended without the lock: cancel, timeout, deadlock), terminated, session gone (of a wait: without the lock), server restarted, unknown; where the server log proves it (log_end_at) also lock timeout and deadlock.';
COMMENT ON COLUMN lock_monitoring.lock_activity_s.ended_by IS
    'Where nobody saw the end: the first look afterwards, or the restart of the server. It ended between resolution_timestamp (last sight) and this.';
COMMENT ON COLUMN lock_monitoring.lock_activity_s.lock_group IS
    'Of a parallel worker: the session whose query it works for, which is one waiter with all its workers. NULL for every other session, and in rows of earlier releases.';
COMMENT ON COLUMN lock_monitoring.lock_activity_s.beside IS
    'Of a session that waits for several things at once with its parallel workers, which is one waiting session: NULL the wait that counts for it, its longest; object: counts among the waits for its relation (or its type of lock) only; member: another of these waits is for the same, counts nowhere; was: stood beside another wait until that ended, its time counts since then, but it is no further wait. NULL for every other wait, and in rows of earlier releases, which count each.';
COMMENT ON COLUMN lock_monitoring.lock_activity_s.last_seen_at IS
    'Of a wait that has ended: the last look that saw it waiting. It ended between this and not_seen_at. NULL for every other row, where the time is not known, and in rows of earlier releases.';
COMMENT ON COLUMN lock_monitoring.lock_activity_s.not_seen_at IS
    'Of a wait that has ended: when the first look that did not see it had been made.';
COMMENT ON COLUMN lock_monitoring.lock_activity_s.log_end_at IS
    'Of a wait that has ended: when exactly, as the server log proves; NULL where no record of it is known.';
COMMENT ON COLUMN lock_monitoring.lock_activity_s.waited_ms IS
    'Milliseconds that it waited, as the server log proves.';
COMMENT ON COLUMN lock_monitoring.lock_activity_s.tenant_claim IS
    'The tenant that the session claimed to work for (lock_engine.session_claim), NULL without a claim; of a granted lock only while others wait for it. A claim, not a proof.';
