-- Views read with their owner's rights: those over the vault and the catalog belong to lock_vault_owner, not to the
-- installing superuser. That owner is also how an install tells a dashboard of ours from a site's old one.
DO $views$
DECLARE
    v_view record;
BEGIN
    FOR v_view IN
        SELECT c.oid::regclass AS relation, n.nspname AS schema_name, c.oid AS object_id, c.relowner
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.relkind = 'v'
          AND (n.nspname IN ('lock_catalog', 'lock_engine')
               OR (n.nspname = 'lock_monitoring'
                   -- A site's own view in our schema stays the site's.
                   AND NOT EXISTS (SELECT 1 FROM lock_engine.site_object AS s
                                   WHERE s.kind = 'relation' AND s.schema_name = 'lock_monitoring'
                                     AND s.object_name = c.relname
                                     AND c.relname NOT IN ('lock_activity_dashboard', 'blocking_sessions_dashboard',
                                                           'lock_wait_analysis_dashboard', 'deadlock_events_dashboard'))))
    LOOP
        IF v_view.relowner <> 'lock_vault_owner'::regrole THEN
            EXECUTE format('ALTER VIEW %s OWNER TO lock_vault_owner', v_view.relation);
        END IF;
        IF NOT has_table_privilege('lock_monitoring_role', v_view.object_id, 'SELECT')
           OR NOT has_table_privilege('lock_door_owner', v_view.object_id, 'SELECT') THEN
            EXECUTE format('GRANT SELECT ON %s TO lock_monitoring_role, lock_door_owner', v_view.relation);
        END IF;
    END LOOP;
END
$views$;
