CREATE OR REPLACE FUNCTION lock_engine.session_locks()
RETURNS text[]
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT coalesce(array_agg(format('%s %s %s %s', l.classid::bigint, l.objid::bigint, l.objsubid, l.mode)), '{}')
    FROM pg_locks l
   WHERE l.locktype = 'advisory' AND l.pid = pg_backend_pid()
     AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
$$;
COMMENT ON FUNCTION lock_engine.session_locks() IS
  'The advisory locks of this session and its transaction: "classid objid objsubid mode".';
