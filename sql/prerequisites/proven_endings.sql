-- Earlier releases stored "cancelled" for every wait whose session was found in a failed transaction, also where the lock was granted and
-- the statement failed afterwards. "cancelled" stays where something recorded proves it: the door cancelled that statement; the server
-- log has that process's cancel, timeout or deadlock within the wait; or a lock that was in the way, of the same transaction, is recorded beyond the
-- wait's end. All others become "unknown". Triggers stand aside, as in readable_rows.sql.
DO $proven_endings$
DECLARE
    v_table record;
    v_triggers record;
BEGIN
    IF current_setting('one_vault.guessed_endings') = 'no' THEN
        RETURN;
    END IF;
    CREATE TEMPORARY TABLE lockmon_guessed ON COMMIT DROP AS
        SELECT o.tableoid AS home, o.ctid AS place
        FROM (SELECT s.tableoid, s.ctid, s.lock_pid, s.backend_start, s.query_start, s.wait_start, s.load_date, s.load_end_date, s.object_key,
                     s.lock_priority, s.blocking_nodes, s.soft_blocking_nodes
              FROM lock_monitoring.lock_activity_s AS s WHERE s.resolution_action = 'cancelled' AND NOT s.lock_granted
              UNION ALL
              -- of a partitioned site it is no child of the table
              SELECT a.tableoid, a.ctid, a.lock_pid, a.backend_start, a.query_start, a.wait_start, a.load_date, a.load_end_date, a.object_key,
                     a.lock_priority, a.blocking_nodes, a.soft_blocking_nodes
              FROM ONLY lock_engine.aside_lock_activity_s AS a
              WHERE a.resolution_action = 'cancelled' AND NOT a.lock_granted
                AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = 'lock_engine.aside_lock_activity_s'::regclass)) AS o
        WHERE NOT EXISTS (
                SELECT 1 FROM lock_admin.action_log AS a
                WHERE a.step = 'signal' AND a.action = 'cancel' AND a.target_pid = o.lock_pid
                  AND a.target_backend_start = o.backend_start
                  AND a.logged_at BETWEEN o.query_start AND o.load_end_date)
          AND NOT EXISTS (
                SELECT 1 FROM lock_log.event AS e
                WHERE e.pid = o.lock_pid AND e.kind IN ('cancelled', 'lock_timeout', 'deadlock')
                  AND e.logged_at BETWEEN coalesce(o.wait_start, o.load_date) AND o.load_end_date)
          AND NOT EXISTS (
                SELECT 1 FROM lock_monitoring.lock_activity_s AS b
                WHERE b.object_key = o.object_key
                  AND coalesce(b.lock_group, b.lock_pid) = ANY (o.blocking_nodes || o.soft_blocking_nodes)
                  AND b.load_date <= o.load_end_date AND coalesce(b.load_end_date, 'infinity') > o.load_end_date
                  AND b.transaction_start <= o.load_date
                  -- PostgreSQL's table "Conflicting Lock Modes", as in lock_catalog.locks
                  AND (1 << o.lock_priority) & CASE b.lock_mode
                        WHEN 'AccessShareLock' THEN 256 WHEN 'RowShareLock' THEN 384 WHEN 'RowExclusiveLock' THEN 480
                        WHEN 'ShareUpdateExclusiveLock' THEN 496 WHEN 'ShareLock' THEN 472
                        WHEN 'ShareRowExclusiveLock' THEN 504 WHEN 'ExclusiveLock' THEN 508
                        WHEN 'AccessExclusiveLock' THEN 510 ELSE 0 END <> 0);
    FOR v_table IN SELECT DISTINCT g.home::regclass AS relation FROM pg_temp.lockmon_guessed AS g ORDER BY 1 LOOP
        SELECT t.aside, t.back INTO v_triggers FROM lock_engine.triggers_aside(v_table.relation) AS t;
        EXECUTE v_triggers.aside;
        EXECUTE format('UPDATE ONLY %s AS o SET resolution_action = ''unknown'' FROM pg_temp.lockmon_guessed AS g '
                       'WHERE g.home = %s AND o.ctid = g.place', v_table.relation, v_table.relation::oid);
        EXECUTE v_triggers.back;
    END LOOP;
    DROP TABLE pg_temp.lockmon_guessed;
END
$proven_endings$;
