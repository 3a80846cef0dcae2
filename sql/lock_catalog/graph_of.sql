-- The waits-for graph of the sessions and locks given; where they are NULL they are read now.
-- Only while a lock group has several processes (parallel query) the graph costs what it takes to put their waits together.
CREATE OR REPLACE FUNCTION lock_catalog.graph_of(
  p_own_pids integer[], p_sessions lock_catalog.sessions[], p_locks lock_catalog.locks[])
RETURNS SETOF lock_catalog.graph
LANGUAGE plpgsql
VOLATILE
ROWS 100
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
  IF p_sessions IS NULL THEN
    p_sessions := ARRAY(SELECT x::lock_catalog.sessions FROM lock_catalog.sessions x);
  END IF;
  IF EXISTS (SELECT FROM unnest(p_sessions) s WHERE s.lock_group <> s.pid) THEN
    RETURN QUERY SELECT g.* FROM lock_catalog.graph_of_groups(p_own_pids, p_sessions, p_locks) g;
  ELSE
    RETURN QUERY SELECT g.* FROM lock_catalog.graph_alone(p_own_pids, p_sessions, p_locks) g;
  END IF;
END
$$;
COMMENT ON FUNCTION lock_catalog.graph_of(integer[], lock_catalog.sessions[], lock_catalog.locks[]) IS
  'The waits-for graph of these sessions and locks (NULL: as they are now), without the waits of p_own_pids. object_key is '
  'needed of the locks that are waited for only. See lock_catalog.waits_for().';
