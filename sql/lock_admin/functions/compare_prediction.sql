CREATE OR REPLACE FUNCTION lock_admin.compare_prediction(p_prediction jsonb, p_pid integer)
RETURNS jsonb
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
  WITH g AS MATERIALIZED (SELECT w.* FROM lock_catalog.waits_for() AS w),
  freed AS (
    SELECT p.pid, p.backend_start,
           NOT EXISTS (SELECT 1 FROM g
                        WHERE g.pid = p.pid AND g.backend_start = p.backend_start AND g.is_waiting
                          AND g.object_key IS NOT DISTINCT FROM p.object
                          AND (g.wait_start = p.wait_start OR g.wait_start IS NULL OR p.wait_start IS NULL
                               OR g.wait_start_is_bound)) AS is_freed
      FROM jsonb_to_recordset(coalesce(p_prediction -> 'freed', '[]'))
        AS p(pid integer, backend_start timestamptz, object text, wait_start timestamptz)),
  next_up AS (
    SELECT n.pid, n.behind, coalesce(g.blocked_total, 0) AS blocks_now
      FROM jsonb_to_recordset(coalesce(p_prediction -> 'next_blockers', '[]'))
        AS n(pid integer, backend_start timestamptz, behind integer)
      LEFT JOIN g ON g.pid = n.pid AND g.backend_start = n.backend_start),
  counts AS (
    SELECT (SELECT count(*) FROM freed) AS predicted,
           (SELECT count(*) FROM freed WHERE freed.is_freed) AS is_freed,
           (SELECT n.pid FROM next_up AS n ORDER BY n.behind DESC, n.pid LIMIT 1) AS next_pid,
           (SELECT count(*) FROM next_up) AS next_predicted,
           (SELECT count(*) FROM next_up AS n WHERE n.blocks_now > 0) AS next_came_true)
  SELECT jsonb_build_object(
    'predicted', c.predicted, 'freed', c.is_freed, 'not_freed', c.predicted - c.is_freed,
    'next_predicted', c.next_predicted, 'next_came_true', c.next_came_true,
    'still_behind', coalesce((SELECT g.blocked_total FROM g WHERE g.pid = p_pid), 0),
    'waiting_now', (SELECT count(*) FROM g WHERE g.is_waiting),
    'text', format('%s predicted to be freed, %s freed', c.predicted, c.is_freed)
      || CASE WHEN c.next_predicted = 0 THEN '.'
              WHEN c.next_came_true > 0 THEN format('; %s took the lock as predicted.', c.next_pid)
              ELSE format('; %s was to block next, but nobody waits behind it now.', c.next_pid) END)
    FROM counts AS c
$$;
COMMENT ON FUNCTION lock_admin.compare_prediction(jsonb, integer) IS
  'Internal: a prediction of lock_admin.simulate() against the waits-for graph as it is now.';
