-- To give an object to its owner, a role that is no superuser must be a member of that owner, and the owner must be
-- allowed to create in the object's schema. Both last as long as this transaction: leave_owners.sql takes them back.
-- From PostgreSQL 16 on the maker of a role administers it without being able to act as it; that stays.
DO $take_owners$
DECLARE
    v_owner text;
BEGIN
    IF (SELECT r.rolsuper FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user) THEN
        RETURN;
    END IF;
    FOREACH v_owner IN ARRAY ARRAY['lock_vault_owner', 'lock_door_owner', 'lock_action_log_owner', 'lock_log_reader',
                                   'lock_alert_sandbox', 'lock_site_reader'] LOOP
        BEGIN
            IF current_setting('server_version_num')::integer >= 160000 THEN
                EXECUTE format('GRANT %I TO CURRENT_USER WITH INHERIT TRUE, SET TRUE', v_owner);
            ELSE
                EXECUTE format('GRANT %I TO CURRENT_USER', v_owner);
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE EXCEPTION 'Role "%" may not install: the role % was made by somebody else, who must run GRANT % TO % WITH ADMIN OPTION; first. Nothing was changed.',
                current_user, v_owner, v_owner, quote_ident(current_user) USING ERRCODE = 'insufficient_privilege';
        END;
        EXECUTE format('GRANT CREATE ON SCHEMA lock_monitoring, lock_catalog, lock_engine, lock_log, lock_admin, monitoring TO %I',
                       v_owner);
    END LOOP;
END
$take_owners$;
