-- The first of cycle_blockers() in words, for a sentence that says why nothing was done. While an upgrade replaces the
-- views that it reads, even looking for the culprit would wait: then it says p_otherwise, after the caller's lock_timeout.
CREATE OR REPLACE FUNCTION lock_engine.cycle_blocker_named(p_otherwise text)
RETURNS text
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN coalesce((SELECT format('pid %s holds %s', b.pid, b.held) FROM lock_engine.cycle_blockers() b LIMIT 1), p_otherwise);
EXCEPTION
  WHEN lock_not_available THEN
    RETURN p_otherwise;
END
$$;
COMMENT ON FUNCTION lock_engine.cycle_blocker_named(text) IS
  'Who keeps a cycle from running, in words; p_otherwise if nobody is found or looking would wait for a lock.';
REVOKE ALL ON FUNCTION lock_engine.cycle_blocker_named(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.cycle_blocker_named(text) TO lock_monitoring_role;
