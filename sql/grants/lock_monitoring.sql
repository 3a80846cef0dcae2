-- History is written by functions alone: they belong to lock_vault_owner, nobody else changes a row.
GRANT SELECT, INSERT, UPDATE, DELETE ON
    lock_monitoring.lock_activity_h, lock_monitoring.lock_activity_s,
    lock_monitoring.blocking_session_h, lock_monitoring.blocking_session_s,
    lock_monitoring.deadlock_event_h, lock_monitoring.deadlock_event_s,
    lock_monitoring.lock_wait_analysis_h, lock_monitoring.lock_wait_analysis_s,
    lock_monitoring.lock_blocking_l, lock_monitoring.deadlock_involvement_l
    TO lock_vault_owner;
REVOKE INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON
    lock_monitoring.lock_activity_h, lock_monitoring.lock_activity_s,
    lock_monitoring.blocking_session_h, lock_monitoring.blocking_session_s,
    lock_monitoring.deadlock_event_h, lock_monitoring.deadlock_event_s,
    lock_monitoring.lock_wait_analysis_h, lock_monitoring.lock_wait_analysis_s,
    lock_monitoring.lock_blocking_l, lock_monitoring.deadlock_involvement_l
    FROM PUBLIC, lock_monitoring_role, lock_admin_role;
GRANT SELECT ON
    lock_monitoring.lock_activity_h, lock_monitoring.lock_activity_s,
    lock_monitoring.blocking_session_h, lock_monitoring.blocking_session_s,
    lock_monitoring.deadlock_event_h, lock_monitoring.deadlock_event_s,
    lock_monitoring.lock_wait_analysis_h, lock_monitoring.lock_wait_analysis_s,
    lock_monitoring.lock_blocking_l, lock_monitoring.deadlock_involvement_l
    TO lock_monitoring_role, lock_door_owner;

-- The tenant of a session is looked up in the platform's tenants and users: two columns of each, by a role that has nothing
-- else. Nobody who could give something away reads a table in which others may have their code run.
GRANT USAGE ON SCHEMA auth TO lock_site_reader;
GRANT SELECT (tenant_hk, tenant_bk) ON auth.tenant_h TO lock_site_reader;
GRANT SELECT (user_bk, tenant_hk) ON auth.user_h TO lock_site_reader;
REVOKE SELECT (tenant_hk, tenant_bk) ON auth.tenant_h FROM lock_vault_owner, lock_door_owner, lock_monitoring_role;
REVOKE SELECT (user_bk, tenant_hk) ON auth.user_h FROM lock_vault_owner, lock_door_owner;
REVOKE USAGE ON SCHEMA auth FROM lock_vault_owner, lock_door_owner, lock_monitoring_role;
-- What a site has granted on the whole tables, as an earlier release had its functions read them.
DO $whole_tables$
DECLARE
    v_line text;
BEGIN
    FOR v_line IN
        SELECT DISTINCT format('REVOKE SELECT ON %s FROM %I', c.oid::regclass, pg_get_userbyid(a.grantee))
        FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE c.oid IN ('auth.tenant_h'::regclass, 'auth.user_h'::regclass) AND a.privilege_type = 'SELECT'
          AND a.grantee IN ('lock_vault_owner'::regrole, 'lock_door_owner'::regrole, 'lock_monitoring_role'::regrole,
                            'lock_admin_role'::regrole)
    LOOP
        BEGIN
            EXECUTE v_line;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE WARNING 'The owner of these tables could have code run with a role of the monitor that reads them: let him run %;', v_line;
        END;
    END LOOP;
END
$whole_tables$;

DO $published$
BEGIN
    IF to_regprocedure('lock_monitoring.capture_lock_activity(bytea)') IS NOT NULL THEN
        GRANT EXECUTE ON FUNCTION lock_monitoring.capture_lock_activity(bytea) TO lock_monitoring_role;
    END IF;
    IF to_regprocedure('lock_monitoring.detect_blocking_sessions(bytea, integer)') IS NOT NULL THEN
        GRANT EXECUTE ON FUNCTION lock_monitoring.detect_blocking_sessions(bytea, integer) TO lock_monitoring_role;
    END IF;
    IF to_regprocedure('lock_monitoring.detect_deadlocks(bytea)') IS NOT NULL THEN
        GRANT EXECUTE ON FUNCTION lock_monitoring.detect_deadlocks(bytea) TO lock_monitoring_role;
    END IF;
    IF to_regprocedure('lock_monitoring.analyze_lock_waits(bytea, integer)') IS NOT NULL THEN
        GRANT EXECUTE ON FUNCTION lock_monitoring.analyze_lock_waits(bytea, integer) TO lock_monitoring_role;
    END IF;
    IF to_regprocedure('lock_monitoring.run_lock_monitoring(bytea)') IS NOT NULL THEN
        GRANT EXECUTE ON FUNCTION lock_monitoring.run_lock_monitoring(bytea) TO lock_monitoring_role;
    END IF;
    -- These two act: the reading role must not have them, also where a site's old functions had given them away.
    IF to_regprocedure('lock_monitoring.auto_resolve_blocking(bytea, integer, boolean)') IS NOT NULL THEN
        REVOKE EXECUTE ON FUNCTION lock_monitoring.auto_resolve_blocking(bytea, integer, boolean) FROM lock_monitoring_role;
        GRANT EXECUTE ON FUNCTION lock_monitoring.auto_resolve_blocking(bytea, integer, boolean) TO lock_admin_role;
    END IF;
    IF to_regprocedure('lock_monitoring.cleanup_old_data(integer)') IS NOT NULL THEN
        REVOKE EXECUTE ON FUNCTION lock_monitoring.cleanup_old_data(integer) FROM lock_monitoring_role;
        GRANT EXECUTE ON FUNCTION lock_monitoring.cleanup_old_data(integer) TO lock_admin_role;
    END IF;
END
$published$;
