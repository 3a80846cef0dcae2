CREATE TABLE IF NOT EXISTS lock_monitoring.lock_wait_analysis_s (
    lock_wait_analysis_hk     bytea NOT NULL REFERENCES lock_monitoring.lock_wait_analysis_h (lock_wait_analysis_hk),
    load_date                 timestamp with time zone NOT NULL DEFAULT util.current_load_date(),
    load_end_date             timestamp with time zone,
    hash_diff                 bytea NOT NULL,
    analysis_period_start     timestamp with time zone NOT NULL,
    analysis_period_end       timestamp with time zone NOT NULL,
    total_lock_events         integer DEFAULT 0,
    blocking_events           integer DEFAULT 0,
    deadlock_events           integer DEFAULT 0,
    average_lock_wait_time_ms numeric,
    max_lock_wait_time_ms     numeric,
    lock_timeout_events       integer DEFAULT 0,
    most_contended_table      character varying(200),
    most_blocking_user        character varying(100),
    most_blocked_user         character varying(100),
    peak_concurrent_locks     integer DEFAULT 0,
    lock_efficiency_score     numeric,
    contention_hotspots       jsonb,
    recommended_optimizations text[],
    lock_escalation_events    integer DEFAULT 0,
    shared_lock_conflicts     integer DEFAULT 0,
    exclusive_lock_conflicts  integer DEFAULT 0,
    update_lock_conflicts     integer DEFAULT 0,
    intent_lock_conflicts     integer DEFAULT 0,
    performance_impact_score  numeric,
    business_hours_impact     boolean DEFAULT false,
    maintenance_window_impact boolean DEFAULT false,
    trend_direction           character varying(20) DEFAULT 'STABLE',
    forecast_next_period      text,
    record_source             character varying(100) NOT NULL,
    PRIMARY KEY (lock_wait_analysis_hk, load_date)
);

-- Columns of our own come last; a site's existing table gets them here.
CALL pg_temp.add_columns('lock_monitoring.lock_wait_analysis_s', ARRAY[
    'satellite_id bigint GENERATED ALWAYS AS IDENTITY',
    'p50_lock_wait_time_ms numeric',
    'p95_lock_wait_time_ms numeric',
    'blocked_seconds numeric',
    'previous_blocked_seconds numeric',
    'unknown text[]',
    'watched_share numeric',
    'previous_watched_share numeric'
]);

COMMENT ON TABLE lock_monitoring.lock_wait_analysis_s IS
    'Satellite: the figures of one analysis. What could not be known is NULL.';
COMMENT ON COLUMN lock_monitoring.lock_wait_analysis_s.satellite_id IS
    'One number per row, for pages that need a single key.';
COMMENT ON COLUMN lock_monitoring.lock_wait_analysis_s.unknown IS
    'What could not be established, in words.';
COMMENT ON COLUMN lock_monitoring.lock_wait_analysis_s.watched_share IS
    'Which part of the period was watched, 0 to 1: all seconds of the row are those of it. NULL: from a release that did not know.';
COMMENT ON COLUMN lock_monitoring.lock_wait_analysis_s.previous_watched_share IS
    'The same of the period before, with which the trend compares.';
