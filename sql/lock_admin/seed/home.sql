-- A vault that does not know its place yet is at home where it is installed; one that does keeps it, so that installing in a
-- copy arms nothing.
DO $home$
DECLARE
    v_here record;
BEGIN
    IF NOT has_function_privilege('lock_monitoring_role', 'pg_catalog.pg_control_system()', 'EXECUTE')
       OR NOT has_function_privilege('lock_door_owner', 'pg_catalog.pg_control_system()', 'EXECUTE') THEN
        BEGIN
            GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO lock_monitoring_role, lock_vault_owner, lock_door_owner;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE WARNING 'Policies and alerts stay disarmed, because nobody of the monitor may ask which server this is: type GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO lock_monitoring_role, lock_vault_owner, lock_door_owner; as a superuser and install again.';
        END;
    END IF;
    IF NOT EXISTS (SELECT 1 FROM lock_engine.home) THEN
        v_here := lock_engine.this_database();
        IF v_here.system_identifier IS NOT NULL THEN
            INSERT INTO lock_engine.home (system_identifier, database_oid, database_name, recorded_by, reason)
            VALUES (v_here.system_identifier, v_here.database_oid, lock_catalog.readable(current_database()::text),
                    lock_catalog.readable(session_user::text), 'installed here');
        END IF;
    END IF;
END
$home$;
