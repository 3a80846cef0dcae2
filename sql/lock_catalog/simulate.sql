-- What happens if these nodes leave at once: who is freed (lock_catalog.freeing), who then waits behind one of the freed, and who
-- goes on waiting for somebody else entirely.
CREATE OR REPLACE FUNCTION lock_catalog.simulate(p_graph lock_catalog.graph[], p_nodes bigint[])
RETURNS TABLE (node bigint, fate text, behind integer, directly boolean)
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
ROWS 100
SET search_path = pg_catalog, pg_temp
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH RECURSIVE
  g AS MATERIALIZED (
    SELECT x.node, x.hard_blockers || x.soft_blockers AS blockers, x.run_position AS place,
           -- those who insert may want the same key (lock_catalog.freeing): a run of their own
           CASE WHEN x.run_conflicts_itself THEN x.run_head
                WHEN x.lock_type = 'transactionid' AND x.tuple IS NULL THEN -x.run_head END AS run
      FROM unnest(p_graph) AS x WHERE x.is_waiting),
  run AS MATERIALIZED (
    SELECT g.node, first_value(g.node) OVER (PARTITION BY g.run ORDER BY (g.node = ANY (p_nodes)), g.place) AS first_left
      FROM g WHERE g.run IS NOT NULL),
  -- (waiter, blocker), as it is and as it is once the nodes have left; a run's members stand behind its first
  e AS MATERIALIZED (
    SELECT g.node AS waiter, b.node AS blocker
      FROM g CROSS JOIN LATERAL unnest(g.blockers) AS b(node)
     WHERE g.node <> ALL (p_nodes)
    UNION
    SELECT r.node, r.first_left FROM run AS r WHERE r.node <> r.first_left AND r.node <> ALL (p_nodes)
    UNION
    SELECT r.node, p.node
      FROM g AS p JOIN g AS r ON r.run = p.run AND r.place > p.place
     WHERE p.node = ANY (p_nodes) AND r.node <> ALL (p_nodes)),
  behind (node) AS (
    SELECT e.waiter FROM e WHERE e.blocker = ANY (p_nodes)
    UNION
    SELECT e.waiter FROM behind AS b JOIN e ON e.blocker = b.node),
  freed AS MATERIALIZED (
    SELECT u.node FROM lock_catalog.freeing(p_graph, cardinality(p_nodes)) AS f CROSS JOIN LATERAL unnest(f.nodes) AS u(node)
     WHERE f.needs <@ p_nodes AND u.node <> ALL (p_nodes)),
  next_up (first_node, node) AS (
    SELECT e.blocker, e.waiter FROM e JOIN freed AS f ON f.node = e.blocker
    UNION
    SELECT n.first_node, e.waiter FROM next_up AS n JOIN e ON e.blocker = n.node),
  counts AS MATERIALIZED (
    SELECT n.first_node AS node, count(*)::integer AS behind FROM next_up AS n GROUP BY n.first_node),
  next_nodes AS MATERIALIZED (SELECT DISTINCT n.node FROM next_up AS n),
  direct AS MATERIALIZED (SELECT DISTINCT e.waiter AS node FROM e WHERE e.blocker = ANY (p_nodes))
  SELECT b.node, CASE WHEN f.node IS NOT NULL THEN 'freed' WHEN n.node IS NOT NULL THEN 'next' ELSE 'others' END,
         coalesce(c.behind, 0), d.node IS NOT NULL
    FROM behind AS b
    LEFT JOIN freed AS f ON f.node = b.node
    LEFT JOIN next_nodes AS n ON n.node = b.node
    LEFT JOIN counts AS c ON c.node = b.node
    LEFT JOIN direct AS d ON d.node = b.node;
END
$$;
COMMENT ON FUNCTION lock_catalog.simulate(lock_catalog.graph[], bigint[]) IS
  'Who stands behind these nodes of a waits-for graph, and what becomes of each when they leave: freed (behind: how many then '
  'wait behind it), next (waits behind a freed one) or others (waits for somebody else). directly: it waits for one of them itself. '
  'Reads no table.';
