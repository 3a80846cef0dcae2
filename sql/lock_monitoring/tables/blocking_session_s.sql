CREATE TABLE IF NOT EXISTS lock_monitoring.blocking_session_s (
    blocking_session_hk          bytea NOT NULL REFERENCES lock_monitoring.blocking_session_h (blocking_session_hk),
    load_date                    timestamp with time zone NOT NULL DEFAULT util.current_load_date(),
    load_end_date                timestamp with time zone,
    hash_diff                    bytea NOT NULL,
    session_pid                  integer NOT NULL,
    session_start_time           timestamp with time zone,
    user_name                    character varying(100),
    database_name                character varying(100),
    application_name             character varying(200),
    client_addr                  inet,
    client_hostname              character varying(200),
    session_state                character varying(20),
    current_query                text,
    query_start                  timestamp with time zone,
    transaction_start            timestamp with time zone,
    state_change                 timestamp with time zone,
    blocked_sessions_count       integer DEFAULT 0,
    total_locks_held             integer DEFAULT 0,
    exclusive_locks_held         integer DEFAULT 0,
    blocking_duration_seconds    integer,
    blocking_severity            character varying(20) DEFAULT 'LOW',
    blocking_impact_score        numeric,
    auto_kill_eligible           boolean DEFAULT false,
    kill_threshold_seconds       integer DEFAULT 300,
    escalation_level             integer DEFAULT 0,
    last_activity                timestamp with time zone,
    connection_count_from_client integer DEFAULT 1,
    is_superuser                 boolean DEFAULT false,
    backend_type                 character varying(50),
    record_source                character varying(100) NOT NULL,
    PRIMARY KEY (blocking_session_hk, load_date)
);

-- Columns of our own come last; a site's existing table gets them here.
CALL pg_temp.add_columns('lock_monitoring.blocking_session_s', ARRAY[
    'satellite_id bigint GENERATED ALWAYS AS IDENTITY',
    'node bigint',
    'is_root boolean',
    'kind text',
    'recommended_action text',
    'blocking_since timestamp with time zone',
    'blocked_seconds numeric',
    'directly_blocked_count integer',
    'hard_blockers bigint[]',
    'soft_blockers bigint[]',
    'root_nodes bigint[]',
    'wait_start timestamp with time zone',
    'waits_for text',
    'prepared_gid text',
    'backend_xid bigint',
    'query_truncated boolean',
    'query_id bigint',
    'query_fingerprint text',
    'ended_how text',
    'ended_at timestamp with time zone',
    'fingerprint bigint',
    'refresh_at timestamp with time zone',
    'ended_by timestamp with time zone',
    'tenant_claim text'
]);

COMMENT ON TABLE lock_monitoring.blocking_session_s IS
    'Satellite: how many sessions waited behind a blocker, for how long, how severe it was, and how it ended.';
COMMENT ON COLUMN lock_monitoring.blocking_session_s.satellite_id IS
    'One number per row, for pages that need a single key.';
COMMENT ON COLUMN lock_monitoring.blocking_session_s.node IS
    'The session pid, or minus the xid of a prepared transaction.';
COMMENT ON COLUMN lock_monitoring.blocking_session_s.is_root IS
    'true: it blocks somebody and waits for nobody.';
COMMENT ON COLUMN lock_monitoring.blocking_session_s.kind IS
    'What the blocker is: idle_in_transaction, queued_ddl, prepared_transaction, autovacuum and so on.';
COMMENT ON COLUMN lock_monitoring.blocking_session_s.blocking_since IS
    'The earliest wait behind it: how long others have waited, not how old its query is.';
COMMENT ON COLUMN lock_monitoring.blocking_session_s.blocked_seconds IS
    'Seconds that sessions behind it had waited when this row was written, summed. What an episode has cost: lock_engine.behind_episodes().';
COMMENT ON COLUMN lock_monitoring.blocking_session_s.ended_how IS
    'How it ended: granted, released, cancelled, terminated, session gone, server restarted, unknown.';
COMMENT ON COLUMN lock_monitoring.blocking_session_s.ended_by IS
    'Where nobody saw the end: the first look afterwards, or the restart of the server. It ended between ended_at (last sight) and this.';
COMMENT ON COLUMN lock_monitoring.blocking_session_s.tenant_claim IS
    'The tenant that the session claimed to work for (lock_engine.session_claim), NULL without a claim. A claim, not a proof.';
