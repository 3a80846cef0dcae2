-- What take_owners.sql took for this transaction goes back. The installing role keeps one right: to compare the
-- definitions with the installed ones, which a superuser has anyway.
DO $leave_owners$
DECLARE
    v_owner text;
BEGIN
    IF (SELECT r.rolsuper FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user) THEN
        RETURN;
    END IF;
    IF to_regprocedure('lock_engine.catalog_hash()') IS NOT NULL THEN
        EXECUTE format('GRANT EXECUTE ON FUNCTION lock_engine.catalog_hash() TO %I', current_user);
    END IF;
    FOREACH v_owner IN ARRAY ARRAY['lock_vault_owner', 'lock_door_owner', 'lock_action_log_owner', 'lock_log_reader',
                                   'lock_alert_sandbox', 'lock_site_reader'] LOOP
        EXECUTE format('REVOKE CREATE ON SCHEMA lock_monitoring, lock_catalog, lock_engine, lock_log, lock_admin, monitoring FROM %I',
                       v_owner);
        EXECUTE format('REVOKE %I FROM CURRENT_USER', v_owner);
    END LOOP;
END
$leave_owners$;

-- What was noted for the person who installs.
SELECT n.sentence FROM pg_temp.lockmon_note AS n ORDER BY n.note_id;
