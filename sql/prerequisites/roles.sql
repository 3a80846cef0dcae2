-- Cluster-wide roles. One that exists keeps its attributes; nothing here can log in.
DO $roles$
DECLARE
    v_role text;
    v_membership text[];
BEGIN
    FOREACH v_role IN ARRAY ARRAY[
        'lock_monitoring_role', 'lock_admin_role', 'lock_vault_owner', 'lock_door_owner',
        'lock_action_log_owner', 'lock_log_reader', 'lock_alert_sandbox', 'lock_site_reader']
    LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_roles AS r WHERE r.rolname = v_role) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', v_role);
            EXECUTE format('COMMENT ON ROLE %I IS %L', v_role, 'One Vault lock monitor: made by its install.');
        END IF;
    END LOOP;

    -- (member, of role): granted only where it is missing, so that a second run writes nothing.
    FOREACH v_membership SLICE 1 IN ARRAY ARRAY[
        ['lock_monitoring_role', 'pg_monitor'],
        ['lock_admin_role', 'lock_monitoring_role'],
        ['lock_vault_owner', 'pg_monitor'],
        ['lock_door_owner', 'pg_signal_backend'],
        ['lock_door_owner', 'pg_read_all_stats'],
        ['lock_log_reader', 'pg_read_server_files'],
        ['lock_log_reader', 'pg_read_all_settings'],
        ['lock_alert_sandbox', 'pg_read_all_stats']]
    LOOP
        IF NOT EXISTS (
            SELECT 1 FROM pg_catalog.pg_auth_members AS m
            WHERE m.member = v_membership[1]::regrole AND m.roleid = v_membership[2]::regrole)
        THEN
            BEGIN
                EXECUTE format('GRANT %I TO %I', v_membership[2], v_membership[1]);
            EXCEPTION WHEN insufficient_privilege THEN
                -- On a managed service the installing role may not give away everything; the rest works without.
                RAISE WARNING 'Role "%" may not grant % to %: who may should run GRANT % TO %;', current_user,
                    v_membership[2], v_membership[1], v_membership[2], v_membership[1];
            END;
        END IF;
    END LOOP;
END
$roles$;
