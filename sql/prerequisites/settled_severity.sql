-- By the rule of earlier releases a root with one or two waiters was CRITICAL after five minutes, a blocker that waits itself could be, and a crowd
-- of less than two seconds was LOW. What is recorded of them gets the severity that its own figures have now: a row keeps how many waited and
-- how long. Triggers stand aside, as in readable_rows.sql.
DO $settled_severity$
DECLARE
    v_table record;
    v_triggers record;
BEGIN
    IF current_setting('one_vault.earlier_severity') = 'no' THEN
        RETURN;
    END IF;
    CREATE TEMPORARY TABLE lockmon_severity ON COMMIT DROP AS
        SELECT o.home, o.place, CASE o.blocking_severity WHEN 'LOW' THEN 'MEDIUM' ELSE 'HIGH' END AS severity
        FROM (SELECT s.tableoid AS home, s.ctid AS place, s.blocking_severity, s.blocked_sessions_count, s.is_root, s.node, s.root_nodes
              FROM lock_monitoring.blocking_session_s AS s
              UNION ALL
              -- of a partitioned site it is no child of the table
              SELECT a.tableoid, a.ctid, a.blocking_severity, a.blocked_sessions_count, a.is_root, a.node, a.root_nodes
              FROM ONLY lock_engine.aside_blocking_session_s AS a
              WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = 'lock_engine.aside_blocking_session_s'::regclass)) AS o
        WHERE (o.blocking_severity = 'CRITICAL' AND (o.blocked_sessions_count < 3 OR NOT (o.is_root OR coalesce(o.node = ANY (o.root_nodes), false))))
           OR (o.blocking_severity = 'LOW' AND o.blocked_sessions_count >= 10);
    FOR v_table IN SELECT DISTINCT r.home::regclass AS relation FROM pg_temp.lockmon_severity AS r ORDER BY 1 LOOP
        SELECT t.aside, t.back INTO v_triggers FROM lock_engine.triggers_aside(v_table.relation) AS t;
        EXECUTE v_triggers.aside;
        EXECUTE format('UPDATE ONLY %s AS o SET blocking_severity = r.severity, escalation_level = lock_engine.severity_rank(r.severity) - 1 '
                       'FROM pg_temp.lockmon_severity AS r WHERE r.home = %s AND o.ctid = r.place', v_table.relation, v_table.relation::oid);
        EXECUTE v_triggers.back;
    END LOOP;
    DROP TABLE pg_temp.lockmon_severity;
END
$settled_severity$;
