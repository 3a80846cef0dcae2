-- Whatever an object's own file has not said about its owner and its callers is settled here, so that nothing stays with
-- the installing superuser, nothing is left to PUBLIC, and no role of ours keeps a right that this release does not give: a
-- function that has become one that writes, or one with its owner's rights, was granted to all who read before. Which rights
-- the files give by name is written down in prerequisites/expected.sql.
DO $functions$
DECLARE
    v_function record;
    v_owner text;
    v_for_all boolean;
    v_too_many text;
BEGIN
    FOR v_function IN
        SELECT p.oid, p.oid::regprocedure::text AS signature, n.nspname AS schema_name, p.proname AS function_name,
               p.prosecdef, p.provolatile, r.rolname AS owner_name, p.prorettype = 'trigger'::regtype AS is_trigger,
               CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END AS kind,
               EXISTS (SELECT 1
                       FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
                       WHERE a.grantee = 0) AS is_public
        FROM pg_catalog.pg_proc AS p
        JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
        JOIN pg_catalog.pg_roles AS r ON r.oid = p.proowner
        WHERE (n.nspname IN ('lock_catalog', 'lock_engine', 'lock_admin', 'lock_log')
               OR (n.nspname = 'lock_monitoring'
                   AND p.proname IN ('analyze_lock_waits', 'auto_resolve_blocking', 'capture_lock_activity',
                                     'cleanup_old_data', 'detect_blocking_sessions', 'detect_deadlocks',
                                     'run_lock_monitoring'))
               OR (n.nspname = 'monitoring'
                   AND (p.proname = 'version_alert_configuration'
                        OR r.rolname IN ('lock_vault_owner', 'lock_door_owner', 'lock_alert_sandbox'))))
          AND p.prokind IN ('f', 'p')
    LOOP
        v_owner := CASE v_function.schema_name
                       WHEN 'lock_admin' THEN 'lock_door_owner'
                       WHEN 'lock_log' THEN 'lock_log_reader'
                       ELSE 'lock_vault_owner' END;
        IF v_function.owner_name NOT IN ('lock_vault_owner', 'lock_door_owner', 'lock_action_log_owner',
                                         'lock_log_reader', 'lock_alert_sandbox', 'lock_site_reader') THEN
            EXECUTE format('ALTER %s %s OWNER TO %I', v_function.kind, v_function.signature, v_owner);
        END IF;
        IF v_function.is_public THEN
            EXECUTE format('REVOKE ALL ON %s %s FROM PUBLIC', v_function.kind, v_function.signature);
        END IF;

        -- A function that runs with its caller's rights and changes nothing gives nobody more than they have.
        v_for_all := NOT v_function.prosecdef AND NOT v_function.is_trigger AND v_function.kind = 'FUNCTION'
            AND (v_function.schema_name = 'lock_catalog'
                 OR (v_function.schema_name IN ('lock_engine', 'lock_admin') AND v_function.provolatile <> 'v'));
        IF v_for_all
           AND NOT (has_function_privilege('lock_monitoring_role', v_function.oid, 'EXECUTE')
                    AND has_function_privilege('lock_vault_owner', v_function.oid, 'EXECUTE')
                    AND has_function_privilege('lock_door_owner', v_function.oid, 'EXECUTE')
                    AND has_function_privilege('lock_log_reader', v_function.oid, 'EXECUTE')
                    AND has_function_privilege('lock_alert_sandbox', v_function.oid, 'EXECUTE'))
        THEN
            EXECUTE format(
                'GRANT EXECUTE ON FUNCTION %s TO lock_monitoring_role, lock_vault_owner, lock_door_owner, '
                'lock_log_reader, lock_alert_sandbox', v_function.signature);
        END IF;

        SELECT string_agg(DISTINCT r.rolname, ', ') INTO v_too_many
        FROM pg_catalog.pg_proc AS p
        CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        JOIN pg_catalog.pg_roles AS r ON r.oid = a.grantee
        WHERE p.oid = v_function.oid AND a.grantee <> p.proowner
          AND r.rolname IN ('lock_monitoring_role', 'lock_admin_role', 'lock_vault_owner', 'lock_door_owner', 'lock_action_log_owner',
                            'lock_log_reader', 'lock_alert_sandbox', 'lock_site_reader')
          AND NOT (v_for_all AND r.rolname IN ('lock_monitoring_role', 'lock_vault_owner', 'lock_door_owner', 'lock_log_reader',
                                               'lock_alert_sandbox'))
          AND NOT EXISTS (SELECT 1 FROM pg_temp.lockmon_expected AS e
                          WHERE e.kind = 'grant' AND e.full_name = v_function.signature AND r.rolname = ANY (e.parts));
        -- without the list (while it is being written, tests/support/expected.py) nothing is too many
        IF v_too_many IS NOT NULL AND EXISTS (SELECT 1 FROM pg_temp.lockmon_expected AS e WHERE e.kind = 'grant') THEN
            EXECUTE format('REVOKE ALL ON %s %s FROM %s', v_function.kind, v_function.signature, v_too_many);
        END IF;
    END LOOP;
END
$functions$;
