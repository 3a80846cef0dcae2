-- Who keeps a full cycle from running: the holder of the cycle's advisory lock (460,1), or whoever holds or awaits a
-- lock on a table of the vault that a cycle's ROW EXCLUSIVE would have to wait for. Reads only the catalog, so that it
-- answers while those tables cannot be touched.
CREATE OR REPLACE FUNCTION lock_engine.cycle_blockers()
RETURNS TABLE (pid integer, user_name text, application_name text, state text, held text, since timestamptz)
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT l.pid, s.user_name, s.application_name, s.state,
         CASE WHEN l.lock_type = 'advisory' THEN 'the cycle''s advisory lock (460,1)'
              ELSE format('%s on %s.%s%s', l.lock_mode, n.nspname, c.relname,
                          CASE WHEN l.granted THEN '' ELSE ' (waiting for it, ahead of the monitor)' END) END,
         coalesce(s.xact_start, s.query_start)
    FROM lock_catalog.locks l
    LEFT JOIN lock_catalog.sessions s ON s.pid = l.pid
    LEFT JOIN pg_class c ON l.lock_type = 'relation' AND c.oid = l.relation_oid
    LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE l.database_oid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
     AND l.pid IS DISTINCT FROM pg_backend_pid()
     AND ((l.lock_type = 'advisory' AND l.granted AND l.classid = 460 AND l.objid = 1 AND l.objsubid = 2)
          OR (l.lock_type = 'relation' AND n.nspname IN ('lock_monitoring', 'lock_engine', 'lock_admin')
              AND l.lock_mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')))
   -- whoever locks a published table locks the one beside it, too: named last
   ORDER BY l.granted DESC, 6 NULLS LAST, 1, c.relname LIKE 'aside%' NULLS FIRST, 5
$function$;
COMMENT ON FUNCTION lock_engine.cycle_blockers() IS
  'Sessions that keep run_lock_monitoring() from running now, and by what; pid NULL is a prepared transaction.';
REVOKE ALL ON FUNCTION lock_engine.cycle_blockers() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.cycle_blockers() TO lock_monitoring_role;
