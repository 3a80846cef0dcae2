-- Views that had to be made anew (prerequisites/drop_outdated.sql) get back what the site had granted on them.
DO $restore_site_grants$
DECLARE
    v_grant record;
BEGIN
    FOR v_grant IN
        SELECT g.* FROM pg_temp.lockmon_site_grants AS g WHERE to_regclass(g.object_name) IS NOT NULL
        ORDER BY g.object_name, g.grantee, g.privilege
    LOOP
        EXECUTE format('GRANT %s ON %s TO %I%s', v_grant.privilege, v_grant.object_name::regclass, v_grant.grantee,
                       CASE WHEN v_grant.grantable THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
END
$restore_site_grants$;
