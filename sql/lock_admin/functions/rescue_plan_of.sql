-- lock_catalog.rescue_plan() by this site's settings, for whoever has read the graph already.
CREATE OR REPLACE FUNCTION lock_admin.rescue_plan_of(p_graph lock_catalog.graph[], p_at timestamptz, p_past boolean DEFAULT false)
RETURNS TABLE (
  step integer, action text, node bigint, pid integer, backend_start timestamptz, who text, frees_at_once integer, follow integer,
  at_least boolean, loses text, text text)
LANGUAGE plpgsql
STABLE
ROWS 10
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
#variable_conflict use_column
DECLARE
  v_own text[];
  v_protected text[];
  v_shared bigint[];
BEGIN
  IF cardinality(p_graph) > 0 THEN
    BEGIN
      v_own := ARRAY(SELECT jsonb_array_elements_text(lock_admin.setting('monitor.own_logins')));
      v_protected := ARRAY(SELECT jsonb_array_elements_text(lock_admin.setting('door.protected_users')));
    EXCEPTION
      -- the live picture goes on; who must not be stopped is not known, so nobody is named
      WHEN lock_not_available THEN
        action := 'note';
        at_least := false;
        text := 'No plan: somebody has locked the settings, which say who must not be stopped.';
        RETURN NEXT;
        RETURN;
    END;
    -- PostgreSQL shows one of those who have locked a row (FOR SHARE, a foreign key's check). Who has no lock with which rows of that
    -- table are changed has only locked the row, and others may have, too. Locks are read again for that, once somebody waits for a row (the
    -- planner asks what is behind NOT IN for the first row only); of past ones nothing is known.
    IF NOT p_past THEN
      v_shared := ARRAY(
        SELECT x.node FROM unnest(p_graph) AS x
         WHERE x.lock_type = 'transactionid' AND x.tuple IS NOT NULL
           AND (x.hard_blockers[1], x.database_oid, x.relation_oid) NOT IN (
             SELECT l.pid::bigint, l.database, l.relation FROM pg_catalog.pg_locks AS l
              WHERE l.locktype = 'relation' AND l.granted AND l.mode NOT IN ('AccessShareLock', 'RowShareLock') AND l.pid IS NOT NULL));
    END IF;
    RETURN QUERY
    SELECT p.* FROM lock_catalog.rescue_plan(
      p_graph, p_at, CASE WHEN p_past THEN 0 ELSE pg_backend_pid() END, v_own, v_protected, p_past, p_shared => v_shared) AS p;
  END IF;
END
$$;
COMMENT ON FUNCTION lock_admin.rescue_plan_of(lock_catalog.graph[], timestamptz, boolean) IS
  'lock_catalog.rescue_plan() of a graph that was read already, by the door''s settings. Changes nothing.';
