-- What the vault keeps of a moment is no whole graph: the place in a run follows from when each began to wait, and whether a mode
-- conflicts with itself from the mode.
CREATE OR REPLACE FUNCTION lock_admin.past_rescue_plan(p_nodes jsonb, p_at timestamptz)
RETURNS TABLE (
  step integer, action text, node bigint, pid integer, backend_start timestamptz, who text, frees_at_once integer, follow integer,
  at_least boolean, loses text, text text)
LANGUAGE plpgsql
STABLE
ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  v_graph lock_catalog.graph[];
BEGIN
  v_graph := ARRAY(
    SELECT jsonb_populate_record(n, jsonb_build_object(
             'hard_blockers', coalesce(n.hard_blockers, '{}'), 'soft_blockers', coalesce(n.soft_blockers, '{}'),
             'run_head', coalesce(n.run_head, n.node), 'blocked_total', coalesce(n.blocked_total, 0),
             'in_deadlock', coalesce(n.in_deadlock, false),
             'run_position', row_number() OVER (PARTITION BY n.is_waiting, coalesce(n.run_head, n.node) ORDER BY n.wait_start, n.node),
             'run_conflicts_itself', n.lock_mode IN ('ShareUpdateExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')))
      FROM jsonb_populate_recordset(NULL::lock_catalog.graph, p_nodes) AS n);
  RETURN QUERY SELECT p.* FROM lock_admin.rescue_plan_of(v_graph, p_at, true) AS p;
END
$$;
COMMENT ON FUNCTION lock_admin.past_rescue_plan(jsonb, timestamptz) IS
  'The rescue plan of a past moment, of what the vault keeps of it: an array of objects with columns of lock_catalog.graph. '
  'Changes nothing.';
