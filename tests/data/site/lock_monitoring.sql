-- The lock_monitoring of a real site: the contract's tables, empty, with bounds that the contract does not show,
-- and functions and dashboards that do not work.
CREATE SCHEMA lock_monitoring;

CREATE TABLE lock_monitoring.lock_activity_h (
    lock_activity_hk bytea PRIMARY KEY,
    lock_activity_bk character varying(255) NOT NULL UNIQUE,
    tenant_hk bytea NOT NULL REFERENCES auth.tenant_h (tenant_hk),
    load_date timestamp with time zone DEFAULT util.current_load_date(),
    record_source character varying(100) NOT NULL
);

CREATE TABLE lock_monitoring.blocking_session_h (
    blocking_session_hk bytea PRIMARY KEY,
    blocking_session_bk character varying(255) NOT NULL UNIQUE,
    tenant_hk bytea NOT NULL REFERENCES auth.tenant_h (tenant_hk),
    load_date timestamp with time zone DEFAULT util.current_load_date(),
    record_source character varying(100) NOT NULL
);

CREATE TABLE lock_monitoring.deadlock_event_h (
    deadlock_event_hk bytea PRIMARY KEY,
    deadlock_event_bk character varying(255) NOT NULL UNIQUE,
    tenant_hk bytea NOT NULL REFERENCES auth.tenant_h (tenant_hk),
    load_date timestamp with time zone DEFAULT util.current_load_date(),
    record_source character varying(100) NOT NULL
);

CREATE TABLE lock_monitoring.lock_wait_analysis_h (
    lock_wait_analysis_hk bytea PRIMARY KEY,
    lock_wait_analysis_bk character varying(255) NOT NULL UNIQUE,
    tenant_hk bytea NOT NULL REFERENCES auth.tenant_h (tenant_hk),
    load_date timestamp with time zone DEFAULT util.current_load_date(),
    record_source character varying(100) NOT NULL
);

CREATE TABLE lock_monitoring.lock_activity_s (
    lock_activity_hk bytea NOT NULL REFERENCES lock_monitoring.lock_activity_h (lock_activity_hk),
    load_date timestamp with time zone NOT NULL DEFAULT util.current_load_date(),
    load_end_date timestamp with time zone,
    hash_diff bytea NOT NULL,
    lock_type character varying(50) NOT NULL,
    lock_mode character varying(50) NOT NULL,
    relation_name character varying(200),
    relation_type character varying(50),
    database_name character varying(100),
    schema_name character varying(100),
    table_name character varying(100),
    index_name character varying(100),
    lock_pid integer NOT NULL,
    session_id character varying(100),
    user_name character varying(100),
    application_name character varying(200),
    client_addr inet,
    query_text text,
    query_start timestamp with time zone,
    lock_acquired_time timestamp with time zone,
    lock_duration_seconds integer,
    wait_event_type character varying(50),
    wait_event character varying(100),
    lock_granted boolean DEFAULT false,
    lock_fastpath boolean DEFAULT false,
    lock_virtualtransaction character varying(50),
    lock_transactionid bigint,
    blocking_pid integer,
    blocked_by_count integer DEFAULT 0,
    blocking_count integer DEFAULT 0,
    lock_priority integer DEFAULT 0,
    lock_impact_score numeric(5,2),
    resolution_action character varying(100),
    resolution_timestamp timestamp with time zone,
    record_source character varying(100) NOT NULL,
    PRIMARY KEY (lock_activity_hk, load_date)
);

CREATE TABLE lock_monitoring.blocking_session_s (
    blocking_session_hk bytea NOT NULL REFERENCES lock_monitoring.blocking_session_h (blocking_session_hk),
    load_date timestamp with time zone NOT NULL DEFAULT util.current_load_date(),
    load_end_date timestamp with time zone,
    hash_diff bytea NOT NULL,
    session_pid integer NOT NULL,
    session_start_time timestamp with time zone,
    user_name character varying(100),
    database_name character varying(100),
    application_name character varying(200),
    client_addr inet,
    client_hostname character varying(200),
    session_state character varying(20),
    current_query text,
    query_start timestamp with time zone,
    transaction_start timestamp with time zone,
    state_change timestamp with time zone,
    blocked_sessions_count integer DEFAULT 0,
    total_locks_held integer DEFAULT 0,
    exclusive_locks_held integer DEFAULT 0,
    blocking_duration_seconds integer,
    blocking_severity character varying(20) DEFAULT 'LOW'::character varying,
    blocking_impact_score numeric(5,2),
    auto_kill_eligible boolean DEFAULT false,
    kill_threshold_seconds integer DEFAULT 300,
    escalation_level integer DEFAULT 0,
    last_activity timestamp with time zone,
    connection_count_from_client integer DEFAULT 1,
    is_superuser boolean DEFAULT false,
    backend_type character varying(50),
    record_source character varying(100) NOT NULL,
    PRIMARY KEY (blocking_session_hk, load_date)
);

CREATE TABLE lock_monitoring.deadlock_event_s (
    deadlock_event_hk bytea NOT NULL REFERENCES lock_monitoring.deadlock_event_h (deadlock_event_hk),
    load_date timestamp with time zone NOT NULL DEFAULT util.current_load_date(),
    load_end_date timestamp with time zone,
    hash_diff bytea NOT NULL,
    deadlock_timestamp timestamp with time zone NOT NULL,
    deadlock_id character varying(100),
    involved_pids integer[],
    involved_queries text[],
    involved_users character varying(100)[],
    deadlock_victim_pid integer,
    deadlock_victim_query text,
    deadlock_resolution character varying(50),
    deadlock_duration_ms integer,
    affected_tables character varying(200)[],
    lock_types_involved character varying(50)[],
    deadlock_frequency_score numeric(5,2),
    prevention_suggestion text,
    deadlock_graph jsonb,
    business_impact character varying(20) DEFAULT 'MEDIUM'::character varying,
    recovery_time_seconds integer,
    data_consistency_affected boolean DEFAULT false,
    automatic_retry_successful boolean DEFAULT false,
    manual_intervention_required boolean DEFAULT false,
    similar_deadlocks_count integer DEFAULT 1,
    record_source character varying(100) NOT NULL,
    PRIMARY KEY (deadlock_event_hk, load_date)
);

CREATE TABLE lock_monitoring.lock_wait_analysis_s (
    lock_wait_analysis_hk bytea NOT NULL REFERENCES lock_monitoring.lock_wait_analysis_h (lock_wait_analysis_hk),
    load_date timestamp with time zone NOT NULL DEFAULT util.current_load_date(),
    load_end_date timestamp with time zone,
    hash_diff bytea NOT NULL,
    analysis_period_start timestamp with time zone NOT NULL,
    analysis_period_end timestamp with time zone NOT NULL,
    total_lock_events integer DEFAULT 0,
    blocking_events integer DEFAULT 0,
    deadlock_events integer DEFAULT 0,
    average_lock_wait_time_ms numeric(10,2),
    max_lock_wait_time_ms numeric(10,2),
    lock_timeout_events integer DEFAULT 0,
    most_contended_table character varying(200),
    most_blocking_user character varying(100),
    most_blocked_user character varying(100),
    peak_concurrent_locks integer DEFAULT 0,
    lock_efficiency_score numeric(5,2),
    contention_hotspots jsonb,
    recommended_optimizations text[],
    lock_escalation_events integer DEFAULT 0,
    shared_lock_conflicts integer DEFAULT 0,
    exclusive_lock_conflicts integer DEFAULT 0,
    update_lock_conflicts integer DEFAULT 0,
    intent_lock_conflicts integer DEFAULT 0,
    performance_impact_score numeric(5,2),
    business_hours_impact boolean DEFAULT false,
    maintenance_window_impact boolean DEFAULT false,
    trend_direction character varying(20) DEFAULT 'STABLE'::character varying,
    forecast_next_period text,
    record_source character varying(100) NOT NULL,
    PRIMARY KEY (lock_wait_analysis_hk, load_date)
);

CREATE TABLE lock_monitoring.lock_blocking_l (
    link_lock_blocking_hk bytea PRIMARY KEY,
    blocking_session_hk bytea NOT NULL REFERENCES lock_monitoring.blocking_session_h (blocking_session_hk),
    lock_activity_hk bytea NOT NULL REFERENCES lock_monitoring.lock_activity_h (lock_activity_hk),
    tenant_hk bytea NOT NULL REFERENCES auth.tenant_h (tenant_hk),
    load_date timestamp with time zone DEFAULT util.current_load_date(),
    record_source character varying(100) NOT NULL
);

CREATE TABLE lock_monitoring.deadlock_involvement_l (
    link_deadlock_involvement_hk bytea PRIMARY KEY,
    deadlock_event_hk bytea NOT NULL REFERENCES lock_monitoring.deadlock_event_h (deadlock_event_hk),
    lock_activity_hk bytea NOT NULL REFERENCES lock_monitoring.lock_activity_h (lock_activity_hk),
    tenant_hk bytea NOT NULL REFERENCES auth.tenant_h (tenant_hk),
    load_date timestamp with time zone DEFAULT util.current_load_date(),
    record_source character varying(100) NOT NULL
);

CREATE INDEX idx_lock_activity_s_type_mode ON lock_monitoring.lock_activity_s (lock_type, lock_mode, lock_granted) WHERE load_end_date IS NULL;


-- The same name and arguments, other result columns.
CREATE FUNCTION lock_monitoring.detect_blocking_sessions(
    p_tenant_hk bytea DEFAULT NULL, p_min_blocking_duration_seconds integer DEFAULT 30)
RETURNS TABLE (blocker_pid integer, blocked integer) LANGUAGE sql AS $$ SELECT 1, 1 $$;
CREATE FUNCTION lock_monitoring.detect_deadlocks(p_tenant_hk bytea DEFAULT NULL)
RETURNS TABLE (deadlock_found boolean) LANGUAGE sql AS $$ SELECT false $$;
-- The same name, other arguments: beside ours the guide's calls would be ambiguous.
CREATE FUNCTION lock_monitoring.cleanup_old_data(p_retention_days integer DEFAULT 30, p_batch integer DEFAULT 100)
RETURNS TABLE (cleanup_summary varchar(200), records_cleaned integer) LANGUAGE sql AS $$ SELECT 'no'::varchar, 0 $$;
-- The same in everything but what it does.
CREATE FUNCTION lock_monitoring.capture_lock_activity(p_tenant_hk bytea DEFAULT NULL)
RETURNS TABLE (locks_captured integer, blocking_locks integer, critical_locks integer, deadlocks_detected integer)
LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'column reference "tenant_hk" is ambiguous'; END $$;
CREATE FUNCTION lock_monitoring.run_lock_monitoring(p_tenant_hk bytea DEFAULT NULL)
RETURNS TABLE (monitoring_summary varchar(200), locks_captured integer, blocking_sessions integer,
               deadlocks_detected integer, critical_issues integer, recommendations text[])
LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'function does not work'; END $$;

CREATE VIEW lock_monitoring.lock_activity_dashboard AS
SELECT s.lock_type, s.lock_mode, count(*) AS lock_count, avg(s.lock_impact_score) AS avg_impact_score
FROM lock_monitoring.lock_activity_s AS s WHERE s.load_end_date IS NULL GROUP BY 1, 2;
CREATE VIEW lock_monitoring.blocking_sessions_dashboard AS
SELECT s.session_pid, s.blocking_severity, s.blocking_impact_score
FROM lock_monitoring.blocking_session_s AS s WHERE s.load_end_date IS NULL;
CREATE VIEW lock_monitoring.deadlock_events_dashboard AS
SELECT s.deadlock_timestamp, s.affected_tables FROM lock_monitoring.deadlock_event_s AS s;

-- A helper of the site's that is none of the seven: it stays.
CREATE FUNCTION lock_monitoring.site_helper() RETURNS integer LANGUAGE sql AS $$ SELECT 42 $$;
