-- Who holds one of the monitor's own advisory locks (460, p_number), in words for the end of a sentence. While an upgrade
-- replaces the views that it reads, looking would wait: then nobody is named, after the caller's lock_timeout.
CREATE OR REPLACE FUNCTION lock_engine.monitor_named(p_number integer)
RETURNS text
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN coalesce((SELECT format(' (pid %s)', m.pid) FROM lock_catalog.monitor_locks m WHERE m.number = p_number::oid LIMIT 1), '');
EXCEPTION
  WHEN lock_not_available THEN
    RETURN '';
END
$$;
COMMENT ON FUNCTION lock_engine.monitor_named(integer) IS
  'The pid that holds the monitor''s advisory lock (460, p_number), as '' (pid 123)''; empty if nobody is found or looking would wait for a lock.';
REVOKE ALL ON FUNCTION lock_engine.monitor_named(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.monitor_named(integer) TO lock_monitoring_role;
