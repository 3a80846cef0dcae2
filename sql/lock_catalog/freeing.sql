-- The one rule of who is freed by whom, for predictions (lock_catalog.simulate) and plans (lock_catalog.rescue_plan): a waiter goes
-- on once all have left that it needs to leave, and not before.
--   * Those that hold what it waits for or stand ahead of it with a conflicting request.
--   * In a run of like waiters whose mode conflicts with itself, those ahead of it: only the first moves up.
--   * Who waits for the tuple lock of a row wants the row: when its holder has left, it waits for what that one waited for.
--   * Who waits for a transaction without the tuple lock of a row wants a key that the other has inserted (inserts). Which key is not
--     shown, and several may want the same: once the transaction is undone, only the first of them is sure to go on.
-- Like waiters are one row, and whoever holds up others is a row alone (own).
CREATE OR REPLACE FUNCTION lock_catalog.freeing(p_graph lock_catalog.graph[], p_most integer)
RETURNS TABLE (
  run_head bigint, hard bigint[], soft bigint[], lock_type text, own bigint, nodes bigint[], waiters integer, is_bound boolean, needs bigint[],
  inserts boolean, may_be_shared boolean)
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
ROWS 20
SET search_path = pg_catalog, pg_temp
SET jit = off
SET plan_cache_mode = force_generic_plan
SET enable_nestloop = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH waiter AS MATERIALIZED (
    SELECT x.node, coalesce(x.run_head, x.node) AS run_head, x.hard_blockers AS hard, x.soft_blockers AS soft, x.lock_type,
           CASE WHEN x.run_conflicts_itself THEN x.run_position ELSE 0 END AS place, x.run_position,
           CASE WHEN x.blocked_total > 0 THEN x.node END AS own, x.wait_start_is_bound AS is_bound,
           x.lock_type = 'transactionid' AND x.tuple IS NULL AS inserts, x.may_be_shared
      FROM unnest(p_graph) AS x
     WHERE x.is_waiting),
  alike AS MATERIALIZED (
    SELECT x.run_head, x.hard, x.soft, x.lock_type,
           -- in a run those further back than p_most can free are alike
           least(x.place, p_most + 2) AS place, x.own, x.inserts,
           array_agg(x.node) AS nodes, count(*)::integer AS waiters, bool_or(x.is_bound) AS is_bound,
           bool_or(x.may_be_shared) AS may_be_shared
      FROM (SELECT w.node, w.run_head, w.hard, w.soft, w.lock_type, w.place, w.own, w.inserts, w.is_bound, w.may_be_shared
              FROM waiter AS w WHERE w.inserts IS NOT TRUE
            UNION ALL
            SELECT w.node, w.run_head, w.hard, w.soft, w.lock_type,
                   (row_number() OVER (PARTITION BY w.run_head ORDER BY w.run_position, w.node))::integer, w.own, w.inserts, w.is_bound, w.may_be_shared
              FROM waiter AS w WHERE w.inserts) AS x
     GROUP BY 1, 2, 3, 4, 5, 6, 7),
  few AS MATERIALIZED (
    SELECT row_number() OVER () AS id, a.*, a.hard || a.soft AS blockers
      FROM alike AS a
     WHERE cardinality(a.hard) + cardinality(a.soft) + greatest(a.place - 1, 0) <= p_most),
  more AS (
    SELECT m.id, array_agg(m.blocker) AS blockers
      FROM (SELECT f.id, u.node AS blocker
              FROM few AS f JOIN few AS a ON a.run_head = f.run_head AND a.place > 0 AND a.place < f.place AND a.inserts = f.inserts
             CROSS JOIN LATERAL unnest(a.nodes) AS u(node)
             WHERE f.place > 1 AND u.node <> ALL (f.blockers)
            UNION
            SELECT f.id, b.node
              FROM (SELECT few.id, few.blockers, few.own, unnest(few.blockers) AS holder FROM few WHERE few.lock_type = 'tuple') AS f
              JOIN alike AS h ON h.own = f.holder AND h.lock_type = 'transactionid'
             CROSS JOIN LATERAL unnest(h.hard || h.soft) AS b(node)
             WHERE b.node <> ALL (f.blockers) AND b.node IS DISTINCT FROM f.own) AS m
     GROUP BY m.id)
  SELECT n.run_head, n.hard, n.soft, n.lock_type, n.own, n.nodes, n.waiters, n.is_bound,
         CASE WHEN cardinality(n.needs) BETWEEN 1 AND p_most THEN n.needs END, n.inserts, n.may_be_shared
    FROM (SELECT f.*, f.blockers || m.blockers AS needs FROM few AS f LEFT JOIN more AS m ON m.id = f.id) AS n
  UNION ALL
  SELECT a.run_head, a.hard, a.soft, a.lock_type, a.own, a.nodes, a.waiters, a.is_bound, NULL, a.inserts, a.may_be_shared
    FROM alike AS a
   WHERE cardinality(a.hard) + cardinality(a.soft) + greatest(a.place - 1, 0) > p_most;
END
$$;
COMMENT ON FUNCTION lock_catalog.freeing(lock_catalog.graph[], integer) IS
  'The waiters of a waits-for graph, like ones together, each with the nodes that all have to leave before it goes on (needs; NULL '
  'where these are more than p_most). own: a waiter that holds up others. inserts: it waits for a key that another has '
  'inserted; of those in its run each needs those before it, as they may want the same. may_be_shared: of the graph. Reads no table.';
