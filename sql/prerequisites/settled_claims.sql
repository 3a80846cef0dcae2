-- Earlier releases read the tenant that a session claims from its application name wherever it was shown. It is a column now, and
-- recorded waits and episodes get what that name says. Triggers stand aside, as in readable_rows.sql.
DO $settled_claims$
DECLARE
    v_table record;
    v_triggers record;
BEGIN
    IF current_setting('one_vault.without_claims') = 'no' THEN
        RETURN;
    END IF;
    FOR v_table IN
        WITH RECURSIVE home (object_id, of_locks) AS (
            VALUES ('lock_monitoring.lock_activity_s'::regclass::oid, true), ('lock_monitoring.blocking_session_s'::regclass::oid, false),
                   -- of a partitioned site they are no children of these tables
                   ('lock_engine.aside_lock_activity_s'::regclass::oid, true), ('lock_engine.aside_blocking_session_s'::regclass::oid, false)
            UNION
            SELECT i.inhrelid, h.of_locks FROM home AS h JOIN pg_catalog.pg_inherits AS i ON i.inhparent = h.object_id)
        SELECT h.object_id::regclass AS relation, h.of_locks
        FROM home AS h JOIN pg_catalog.pg_class AS c ON c.oid = h.object_id
        WHERE c.relkind = 'r' ORDER BY 1
    LOOP
        SELECT t.aside, t.back INTO v_triggers FROM lock_engine.triggers_aside(v_table.relation) AS t;
        EXECUTE v_triggers.aside;
        EXECUTE format('UPDATE ONLY %s AS o SET tenant_claim = lock_engine.claimed_tenant(o.application_name::text) '
                       'WHERE o.application_name LIKE ''%%tenant=%%'' AND o.tenant_claim IS NULL AND %s', v_table.relation,
                       CASE WHEN v_table.of_locks THEN '(NOT o.lock_granted OR o.blocking_count > 0)' ELSE 'true' END);
        EXECUTE v_triggers.back;
    END LOOP;
END
$settled_claims$;
