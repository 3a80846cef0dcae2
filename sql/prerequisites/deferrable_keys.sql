-- The vault's foreign keys can be checked late (SET CONSTRAINTS), so that a cycle asks for the tenants' rows as the last
-- thing it does: see lock_engine.defer_keys. Without that word they are checked at once, as ever. The key of an
-- analysis' hub stays as it is: lock_engine.tenant_state tries a tenant by it.
DO $deferrable_keys$
DECLARE
    v_key record;
BEGIN
    FOR v_key IN
        SELECT k.conrelid::regclass AS relation, k.conname
        FROM pg_catalog.pg_constraint AS k
        JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE k.contype = 'f' AND NOT k.condeferrable AND k.conparentid = 0
          AND n.nspname = 'lock_monitoring'
          AND c.relname IN ('lock_activity_h', 'lock_activity_s', 'blocking_session_h', 'blocking_session_s',
                            'deadlock_event_h', 'deadlock_event_s', 'lock_wait_analysis_s', 'lock_blocking_l',
                            'deadlock_involvement_l')
        ORDER BY 1, 2
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER CONSTRAINT %I DEFERRABLE INITIALLY IMMEDIATE', v_key.relation, v_key.conname);
    END LOOP;
END
$deferrable_keys$;
