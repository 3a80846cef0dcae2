-- A site may hold the contract's tables already. They are used as they are, if they are what the contract says;
-- otherwise every difference is named and nothing is changed.
DO $check_site$
DECLARE
    v_problems text;
BEGIN
    WITH expected (table_name, columns) AS (
        VALUES
        ('lock_activity_h',
         'lock_activity_hk bytea, lock_activity_bk character varying(255), tenant_hk bytea, '
         'load_date timestamp with time zone, record_source character varying(100)'),
        ('lock_activity_s',
         'lock_activity_hk bytea, load_date timestamp with time zone, '
         'load_end_date timestamp with time zone, hash_diff bytea, lock_type character varying(50), '
         'lock_mode character varying(50), relation_name character varying(200), '
         'relation_type character varying(50), database_name character varying(100), '
         'schema_name character varying(100), table_name character varying(100), '
         'index_name character varying(100), lock_pid integer, session_id character varying(100), '
         'user_name character varying(100), application_name character varying(200), client_addr inet, '
         'query_text text, query_start timestamp with time zone, '
         'lock_acquired_time timestamp with time zone, lock_duration_seconds integer, '
         'wait_event_type character varying(50), wait_event character varying(100), '
         'lock_granted boolean, lock_fastpath boolean, lock_virtualtransaction character varying(50), '
         'lock_transactionid bigint, blocking_pid integer, blocked_by_count integer, '
         'blocking_count integer, lock_priority integer, lock_impact_score numeric, '
         'resolution_action character varying(100), resolution_timestamp timestamp with time zone, '
         'record_source character varying(100)'),
        ('blocking_session_h',
         'blocking_session_hk bytea, blocking_session_bk character varying(255), tenant_hk bytea, '
         'load_date timestamp with time zone, record_source character varying(100)'),
        ('blocking_session_s',
         'blocking_session_hk bytea, load_date timestamp with time zone, '
         'load_end_date timestamp with time zone, hash_diff bytea, session_pid integer, '
         'session_start_time timestamp with time zone, user_name character varying(100), '
         'database_name character varying(100), application_name character varying(200), '
         'client_addr inet, client_hostname character varying(200), session_state character varying(20), '
         'current_query text, query_start timestamp with time zone, '
         'transaction_start timestamp with time zone, state_change timestamp with time zone, '
         'blocked_sessions_count integer, total_locks_held integer, exclusive_locks_held integer, '
         'blocking_duration_seconds integer, blocking_severity character varying(20), '
         'blocking_impact_score numeric, auto_kill_eligible boolean, kill_threshold_seconds integer, '
         'escalation_level integer, last_activity timestamp with time zone, '
         'connection_count_from_client integer, is_superuser boolean, '
         'backend_type character varying(50), record_source character varying(100)'),
        ('deadlock_event_h',
         'deadlock_event_hk bytea, deadlock_event_bk character varying(255), tenant_hk bytea, '
         'load_date timestamp with time zone, record_source character varying(100)'),
        ('deadlock_event_s',
         'deadlock_event_hk bytea, load_date timestamp with time zone, '
         'load_end_date timestamp with time zone, hash_diff bytea, '
         'deadlock_timestamp timestamp with time zone, deadlock_id character varying(100), '
         'involved_pids ARRAY, involved_queries ARRAY, involved_users ARRAY, '
         'deadlock_victim_pid integer, deadlock_victim_query text, '
         'deadlock_resolution character varying(50), deadlock_duration_ms integer, '
         'affected_tables ARRAY, lock_types_involved ARRAY, deadlock_frequency_score numeric, '
         'prevention_suggestion text, deadlock_graph jsonb, business_impact character varying(20), '
         'recovery_time_seconds integer, data_consistency_affected boolean, '
         'automatic_retry_successful boolean, manual_intervention_required boolean, '
         'similar_deadlocks_count integer, record_source character varying(100)'),
        ('lock_wait_analysis_h',
         'lock_wait_analysis_hk bytea, lock_wait_analysis_bk character varying(255), tenant_hk bytea, '
         'load_date timestamp with time zone, record_source character varying(100)'),
        ('lock_wait_analysis_s',
         'lock_wait_analysis_hk bytea, load_date timestamp with time zone, '
         'load_end_date timestamp with time zone, hash_diff bytea, '
         'analysis_period_start timestamp with time zone, analysis_period_end timestamp with time zone, '
         'total_lock_events integer, blocking_events integer, deadlock_events integer, '
         'average_lock_wait_time_ms numeric, max_lock_wait_time_ms numeric, lock_timeout_events integer, '
         'most_contended_table character varying(200), most_blocking_user character varying(100), '
         'most_blocked_user character varying(100), peak_concurrent_locks integer, '
         'lock_efficiency_score numeric, contention_hotspots jsonb, recommended_optimizations ARRAY, '
         'lock_escalation_events integer, shared_lock_conflicts integer, '
         'exclusive_lock_conflicts integer, update_lock_conflicts integer, '
         'intent_lock_conflicts integer, performance_impact_score numeric, '
         'business_hours_impact boolean, maintenance_window_impact boolean, '
         'trend_direction character varying(20), forecast_next_period text, '
         'record_source character varying(100)'),
        ('lock_blocking_l',
         'link_lock_blocking_hk bytea, blocking_session_hk bytea, lock_activity_hk bytea, '
         'tenant_hk bytea, load_date timestamp with time zone, record_source character varying(100)'),
        ('deadlock_involvement_l',
         'link_deadlock_involvement_hk bytea, deadlock_event_hk bytea, lock_activity_hk bytea, '
         'tenant_hk bytea, load_date timestamp with time zone, record_source character varying(100)')
    ),
    wanted AS (
        SELECT e.table_name, to_regclass('lock_monitoring.' || e.table_name) AS relation,
               split_part(c.definition, ' ', 1) AS column_name,
               substr(c.definition, strpos(c.definition, ' ') + 1) AS type_name
        FROM expected AS e, unnest(string_to_array(e.columns, ', ')) AS c (definition)
    ),
    found AS (
        SELECT e.table_name, a.attname::text AS column_name,
               -- an array of a domain or of another type of somebody's is none of the contract's
               CASE WHEN a.atttypid IN ('integer[]'::regtype, 'text[]'::regtype, 'varchar[]'::regtype) THEN 'ARRAY'
                    WHEN a.atttypid = 'numeric'::regtype THEN 'numeric'
                    ELSE format_type(a.atttypid, a.atttypmod) END AS type_name,
               -- Columns of our own come after satellite_id; a table that has it was adopted by an earlier install.
               a.attnum >= coalesce(
                   (SELECT s.attnum FROM pg_catalog.pg_attribute AS s
                    WHERE s.attrelid = a.attrelid AND s.attname = 'satellite_id' AND NOT s.attisdropped),
                   32767) AS is_ours
        FROM expected AS e
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = to_regclass('lock_monitoring.' || e.table_name)
        WHERE a.attnum > 0 AND NOT a.attisdropped
    ),
    problems AS (
        SELECT format('%s is a %s', e.table_name,
                      CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                           WHEN 'f' THEN 'foreign table' ELSE 'relation of another kind' END) AS problem
        FROM expected AS e
        JOIN pg_catalog.pg_class AS c ON c.oid = to_regclass('lock_monitoring.' || e.table_name)
        WHERE c.relkind NOT IN ('r', 'p')
        UNION ALL
        SELECT format('%s.%s is missing', w.table_name, w.column_name)
        FROM wanted AS w LEFT JOIN found AS f USING (table_name, column_name)
        WHERE w.relation IS NOT NULL AND f.column_name IS NULL
        UNION ALL
        SELECT format('%s.%s is %s instead of %s', w.table_name, w.column_name, f.type_name, w.type_name)
        FROM wanted AS w JOIN found AS f USING (table_name, column_name)
        WHERE f.type_name <> w.type_name
        UNION ALL
        SELECT format('%s.%s is not known', f.table_name, f.column_name)
        FROM found AS f LEFT JOIN wanted AS w USING (table_name, column_name)
        WHERE w.column_name IS NULL AND NOT f.is_ours
        UNION ALL
        SELECT format('%s has no primary key', e.table_name)
        FROM expected AS e
        WHERE to_regclass('lock_monitoring.' || e.table_name) IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint AS k
                          WHERE k.conrelid = to_regclass('lock_monitoring.' || e.table_name) AND k.contype = 'p')
    )
    SELECT string_agg(p.problem, ', ' ORDER BY p.problem) INTO v_problems FROM problems AS p;

    IF v_problems IS NOT NULL THEN
        RAISE EXCEPTION 'This site''s lock_monitoring tables are not those of the contract: %. Nothing was changed.', v_problems
            USING HINT = 'Rename or mend these tables, then install again.';
    END IF;
END
$check_site$;
