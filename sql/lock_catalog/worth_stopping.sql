-- Of those that a policy may stop, in the order in which it would: the at most p_most whose end frees somebody, together with what is
-- leaving already. One of several holders of a lock is no use without the others.
CREATE OR REPLACE FUNCTION lock_catalog.worth_stopping(p_graph lock_catalog.graph[], p_nodes bigint[], p_leaving bigint[], p_most integer)
RETURNS TABLE (node bigint, frees integer)
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  v_all bigint[] := coalesce(p_nodes, '{}') || coalesce(p_leaving, '{}');
  v_chosen bigint[] := '{}';
  v_more bigint[];
  v_needs bigint[];
BEGIN
  FOR v_needs IN
    SELECT f.needs
      FROM lock_catalog.freeing(p_graph, least(p_most, cardinality(v_all)) + cardinality(coalesce(p_leaving, '{}'))) AS f
     WHERE f.needs <@ v_all
     GROUP BY f.needs
     ORDER BY (SELECT min(array_position(v_all, n)) FROM unnest(f.needs) AS u(n)), cardinality(f.needs), f.needs
  LOOP
    v_more := ARRAY(SELECT u.n FROM unnest(v_needs) AS u(n) WHERE u.n <> ALL (v_chosen || coalesce(p_leaving, '{}')));
    IF cardinality(v_chosen) + cardinality(v_more) <= p_most THEN
      v_chosen := v_chosen || v_more;
    END IF;
  END LOOP;
  RETURN QUERY
  SELECT f.node, f.frees FROM lock_catalog.freed_by(p_graph, v_chosen || coalesce(p_leaving, '{}')) AS f WHERE f.node = ANY (v_chosen);
END
$$;
COMMENT ON FUNCTION lock_catalog.worth_stopping(lock_catalog.graph[], bigint[], bigint[], integer) IS
  'Which nodes of a waits-for graph to stop, p_nodes in order of preference, p_most at most, and how many go on at once as each and '
  'those that it goes with leave. Reads no table.';
