-- A site's own dashboards and functions of the published names are dropped where ours could not replace them: a view
-- that is not ours (ours belong to lock_vault_owner), a function with other arguments or other result columns, or of an owner
-- who is neither a superuser nor who installs.
-- Nothing of the site's that depends on one is ever dropped: it is named, and nothing is changed.
DO $replace$
DECLARE
    v_object record;
    v_dependants text;
BEGIN
    FOR v_object IN
        WITH expected (function_name, arguments, result) AS (
            VALUES
            ('analyze_lock_waits', 'p_tenant_hk bytea DEFAULT NULL::bytea, p_analysis_period_hours integer DEFAULT 24',
             'TABLE(analysis_summary character varying, total_lock_events integer, blocking_events integer, '
             'average_wait_time_ms numeric, efficiency_score numeric, recommendations text[])'),
            ('auto_resolve_blocking', 'p_tenant_hk bytea DEFAULT NULL::bytea, p_max_blocking_duration_seconds integer '
             'DEFAULT 600, p_dry_run boolean DEFAULT true',
             'TABLE(session_pid integer, action_taken character varying, resolution_result character varying, '
             'impact_assessment text)'),
            ('capture_lock_activity', 'p_tenant_hk bytea DEFAULT NULL::bytea',
             'TABLE(locks_captured integer, blocking_locks integer, critical_locks integer, deadlocks_detected integer)'),
            ('cleanup_old_data', 'p_retention_days integer DEFAULT 30',
             'TABLE(cleanup_summary character varying, records_cleaned integer)'),
            ('detect_blocking_sessions', 'p_tenant_hk bytea DEFAULT NULL::bytea, p_min_blocking_duration_seconds '
             'integer DEFAULT 30',
             'TABLE(blocking_session_id integer, blocked_sessions_count integer, blocking_duration_seconds integer, '
             'blocking_severity character varying, recommended_action text)'),
            ('detect_deadlocks', 'p_tenant_hk bytea DEFAULT NULL::bytea',
             'TABLE(deadlock_detected boolean, involved_sessions integer[], deadlock_severity character varying, '
             'resolution_action text)'),
            ('run_lock_monitoring', 'p_tenant_hk bytea DEFAULT NULL::bytea',
             'TABLE(monitoring_summary character varying, locks_captured integer, blocking_sessions integer, '
             'deadlocks_detected integer, critical_issues integer, recommendations text[])')
        )
        SELECT 1 AS step, 'pg_class'::regclass AS catalog, c.oid AS object_id,
               format('view %I.%I', n.nspname, c.relname) AS object_name,
               CASE c.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END
               || format(' %I.%I', n.nspname, c.relname) AS target
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = 'lock_monitoring'
          AND c.relkind IN ('v', 'm')
          AND c.relname IN ('lock_activity_dashboard', 'blocking_sessions_dashboard',
                            'lock_wait_analysis_dashboard', 'deadlock_events_dashboard')
          AND c.relowner <> 'lock_vault_owner'::regrole
        UNION ALL
        SELECT 2, 'pg_proc'::regclass, p.oid, 'function ' || p.oid::regprocedure::text,
               CASE p.prokind WHEN 'p' THEN 'PROCEDURE ' ELSE 'FUNCTION ' END || p.oid::regprocedure::text
        FROM pg_catalog.pg_proc AS p
        JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
        JOIN expected AS e ON e.function_name = p.proname
        WHERE n.nspname = 'lock_monitoring'
          AND (p.prokind <> 'f'
               OR pg_catalog.pg_get_function_arguments(p.oid) <> e.arguments
               OR pg_catalog.pg_get_function_result(p.oid) <> e.result
               -- its owner's grants would stay, too
               OR NOT pg_temp.is_trusted(p.proowner))
        ORDER BY step, object_name
    LOOP
        SELECT string_agg(DISTINCT pg_catalog.pg_describe_object(u.classid, u.objid, 0), ', ')
        INTO v_dependants
        FROM (
            SELECT CASE WHEN d.classid = 'pg_rewrite'::regclass THEN 'pg_class'::regclass ELSE d.classid END AS classid,
                   CASE WHEN d.classid = 'pg_rewrite'::regclass
                        THEN (SELECT w.ev_class FROM pg_catalog.pg_rewrite AS w WHERE w.oid = d.objid)
                        ELSE d.objid END AS objid
            FROM pg_catalog.pg_depend AS d
            WHERE d.refclassid = v_object.catalog AND d.refobjid = v_object.object_id AND d.deptype = 'n'
        ) AS u
        WHERE NOT (u.classid = v_object.catalog AND u.objid = v_object.object_id);
        IF v_dependants IS NOT NULL THEN
            RAISE EXCEPTION 'The site''s % must be replaced, but % depends on it. Nothing was changed.',
                v_object.object_name, v_dependants
                USING HINT = 'Drop what depends on it, install again, then create it anew.';
        END IF;
        EXECUTE 'DROP ' || v_object.target;
    END LOOP;
END
$replace$;

-- Whoever was let call the site's own two functions that act was not let call the monitor's.
DO $revoke$
DECLARE
    v_grant record;
BEGIN
    FOR v_grant IN
        SELECT p.oid::regprocedure::text AS signature,
               CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee
        FROM pg_catalog.pg_proc AS p
        JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
        CROSS JOIN LATERAL pg_catalog.aclexplode(p.proacl) AS a
        WHERE n.nspname = 'lock_monitoring' AND p.proname IN ('auto_resolve_blocking', 'cleanup_old_data')
          AND p.proowner NOT IN ('lock_vault_owner'::regrole, 'lock_door_owner'::regrole)
          AND a.grantee <> p.proowner
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %s CASCADE', v_grant.signature, v_grant.grantee);
    END LOOP;
END
$revoke$;
