-- Whom a policy's stops would free, all that it stops together: one of several holders of a lock frees nobody alone.
CREATE OR REPLACE FUNCTION lock_catalog.freed_by(p_graph lock_catalog.graph[], p_nodes bigint[])
RETURNS TABLE (node bigint, frees integer, freed bigint[])
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH f AS MATERIALIZED (SELECT x.nodes, x.needs FROM lock_catalog.freeing(p_graph, cardinality(p_nodes)) AS x)
  SELECT b.node, count(DISTINCT w.node)::integer, array_agg(DISTINCT w.node)
    FROM f
   CROSS JOIN LATERAL unnest(f.needs) AS b(node)
   CROSS JOIN LATERAL unnest(f.nodes) AS w(node)
   WHERE f.needs <@ p_nodes AND w.node <> ALL (p_nodes)
     -- who waits for several things at once goes on when all of them are there
     AND NOT EXISTS (SELECT FROM f AS o WHERE w.node = ANY (o.nodes) AND (o.needs <@ p_nodes) IS NOT TRUE)
   GROUP BY b.node;
END
$$;
COMMENT ON FUNCTION lock_catalog.freed_by(lock_catalog.graph[], bigint[]) IS
  'If all of these nodes of a waits-for graph leave: for each that has to, who goes on at once (lock_catalog.freeing). No row: its '
  'leaving frees nobody. Reads no table.';
