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
    CREATE TEMPORARY TABLE lockmon_claims ON COMMIT DROP AS
        SELECT DISTINCT o.home
        FROM (SELECT s.tableoid AS home FROM lock_monitoring.lock_activity_s AS s
              UNION
              SELECT s.tableoid FROM lock_monitoring.blocking_session_s AS s
              UNION ALL
              -- of a partitioned site they are no children of these tables
              VALUES ('lock_engine.aside_lock_activity_s'::regclass::oid), ('lock_engine.aside_blocking_session_s'::regclass::oid)) AS o;
    FOR v_table IN
        SELECT c.home::regclass AS relation,
               EXISTS (SELECT FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.home AND a.attname = 'lock_granted') AS of_locks
        FROM pg_temp.lockmon_claims AS c ORDER BY 1
    LOOP
        SELECT t.aside, t.back INTO v_triggers FROM lock_engine.triggers_aside(v_table.relation) AS t;
        EXECUTE v_triggers.aside;
        EXECUTE format('UPDATE ONLY %s AS o SET tenant_claim = lock_engine.claimed_tenant(o.application_name::text) '
                       'WHERE o.application_name LIKE ''%%tenant=%%'' AND o.tenant_claim IS NULL AND %s', v_table.relation,
                       CASE WHEN v_table.of_locks THEN '(NOT o.lock_granted OR o.blocking_count > 0)' ELSE 'true' END);
        EXECUTE v_triggers.back;
    END LOOP;
    DROP TABLE pg_temp.lockmon_claims;
END
$settled_claims$;
