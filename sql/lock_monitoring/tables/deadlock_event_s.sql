CREATE TABLE IF NOT EXISTS lock_monitoring.deadlock_event_s (
    deadlock_event_hk            bytea NOT NULL REFERENCES lock_monitoring.deadlock_event_h (deadlock_event_hk),
    load_date                    timestamp with time zone NOT NULL DEFAULT util.current_load_date(),
    load_end_date                timestamp with time zone,
    hash_diff                    bytea NOT NULL,
    deadlock_timestamp           timestamp with time zone NOT NULL,
    deadlock_id                  character varying(100),
    involved_pids                integer[],
    involved_queries             text[],
    involved_users               text[],
    deadlock_victim_pid          integer,
    deadlock_victim_query        text,
    deadlock_resolution          character varying(50),
    deadlock_duration_ms         integer,
    affected_tables              text[],
    lock_types_involved          text[],
    deadlock_frequency_score     numeric,
    prevention_suggestion        text,
    deadlock_graph               jsonb,
    business_impact              character varying(20) DEFAULT 'MEDIUM',
    recovery_time_seconds        integer,
    data_consistency_affected    boolean DEFAULT false,
    automatic_retry_successful   boolean DEFAULT false,
    manual_intervention_required boolean DEFAULT false,
    similar_deadlocks_count      integer DEFAULT 1,
    record_source                character varying(100) NOT NULL,
    PRIMARY KEY (deadlock_event_hk, load_date)
);

-- Columns of our own come last; a site's existing table gets them here.
CALL pg_temp.add_columns('lock_monitoring.deadlock_event_s', ARRAY[
    'satellite_id bigint GENERATED ALWAYS AS IDENTITY',
    'pattern_hash text',
    'sources text[]',
    'participants jsonb',
    'unknown text[]',
    'log_excerpt text'
]);

COMMENT ON TABLE lock_monitoring.deadlock_event_s IS
    'Satellite: who took part in a deadlock, with which statements, who was the victim, and how to avoid it.';
COMMENT ON COLUMN lock_monitoring.deadlock_event_s.satellite_id IS
    'One number per row, for pages that need a single key.';
COMMENT ON COLUMN lock_monitoring.deadlock_event_s.pattern_hash IS
    'Deadlocks of the same statements in the same roles share this.';
COMMENT ON COLUMN lock_monitoring.deadlock_event_s.sources IS
    'Where it was seen: log, sampling.';
COMMENT ON COLUMN lock_monitoring.deadlock_event_s.participants IS
    'One object per session: what it held, what it wanted, what it ran.';
COMMENT ON COLUMN lock_monitoring.deadlock_event_s.unknown IS
    'What could not be established, in words.';
