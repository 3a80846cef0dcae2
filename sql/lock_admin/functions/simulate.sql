-- What happens if this node leaves: take it out of the waits-for graph and look again. Who then waits for nobody is
-- freed at once; a freed one with others behind it blocks next; the rest waits for somebody else entirely.
-- In a run of like waiters whose mode conflicts with itself only the first moves up, the others wait behind it.
CREATE OR REPLACE FUNCTION lock_admin.simulate(p_node bigint)
RETURNS jsonb
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
  WITH RECURSIVE
  g AS MATERIALIZED (SELECT w.* FROM lock_catalog.waits_for() AS w),
  run AS MATERIALIZED (
    SELECT g.node, g.run_position,
           first_value(g.node) OVER (PARTITION BY g.run_head ORDER BY (g.node = p_node), g.run_position) AS first_left,
           max(g.run_position) FILTER (WHERE g.node = p_node) OVER (PARTITION BY g.run_head) AS own_position
      FROM g WHERE g.is_waiting AND g.run_conflicts_itself),
  -- (waiter, blocker), without and with the node itself
  e AS MATERIALIZED (
    SELECT g.node AS waiter, b.node AS blocker
      FROM g CROSS JOIN LATERAL unnest(g.hard_blockers || g.soft_blockers) AS b(node)
     WHERE g.node <> p_node
    UNION
    SELECT r.node, r.first_left FROM run AS r WHERE r.node <> r.first_left AND r.node <> p_node
    UNION
    SELECT r.node, p_node FROM run AS r WHERE r.run_position > r.own_position),
  behind (node) AS (
    SELECT e.waiter FROM e WHERE e.blocker = p_node
    UNION
    SELECT e.waiter FROM behind AS b JOIN e ON e.blocker = b.node),
  freed AS MATERIALIZED (
    SELECT g.*
      FROM g JOIN behind AS b ON b.node = g.node
     WHERE NOT EXISTS (SELECT 1 FROM e WHERE e.waiter = g.node AND e.blocker <> p_node)),
  next_up (first_node, node) AS (
    SELECT e.blocker, e.waiter FROM e JOIN freed AS f ON f.node = e.blocker
    UNION
    SELECT n.first_node, e.waiter FROM next_up AS n JOIN e ON e.blocker = n.node),
  next_counts AS MATERIALIZED (
    SELECT n.first_node AS node, count(*)::integer AS behind FROM next_up AS n GROUP BY n.first_node),
  me AS (SELECT g.* FROM g WHERE g.node = p_node),
  direct AS (SELECT DISTINCT e.waiter AS node FROM e WHERE e.blocker = p_node)
  SELECT jsonb_build_object(
    'at', clock_timestamp(),
    'node', p_node,
    'blocks', (SELECT count(*) FROM behind),
    'severity', (SELECT me.severity FROM me),
    'kind', (SELECT me.kind FROM me),
    'is_root', (SELECT me.is_root FROM me),
    'blocking_since', (SELECT me.blocking_since FROM me),
    'blocked_seconds', (SELECT me.blocked_seconds FROM me),
    'recommended_action', (SELECT me.recommended_action FROM me),
    'prepared_gid', (SELECT me.prepared_gid FROM me),
    'waits_for', (SELECT me.object_name FROM me),
    'locks_held', (SELECT me.locks_held FROM me),
    'exclusive_locks_held', (SELECT me.exclusive_locks_held FROM me),
    'waiters', (SELECT coalesce(jsonb_agg(d.node ORDER BY d.node), '[]') FROM direct AS d WHERE d.node > 0),
    'freed_count', (SELECT count(*) FROM freed),
    'freed', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                'pid', f.pid, 'backend_start', f.backend_start, 'object', f.object_key, 'wait_start', f.wait_start,
                'name', f.application_name) ORDER BY f.wait_start, f.pid), '[]') FROM freed AS f),
    'next_blockers', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                'pid', f.pid, 'backend_start', f.backend_start, 'application_name', f.application_name,
                'user_name', f.user_name, 'query', left(f.query, 200), 'lock_mode', f.lock_mode,
                'object_name', f.object_name, 'behind', n.behind) ORDER BY n.behind DESC, f.pid), '[]')
              FROM next_counts AS n JOIN freed AS f ON f.node = n.node),
    'wait_behind_next', (SELECT count(DISTINCT n.node) FROM next_up AS n),
    'wait_for_others', (SELECT count(*) FROM behind AS b
                         WHERE NOT EXISTS (SELECT 1 FROM freed AS f WHERE f.node = b.node)
                           AND NOT EXISTS (SELECT 1 FROM next_up AS n WHERE n.node = b.node)))
$$;
COMMENT ON FUNCTION lock_admin.simulate(bigint) IS
  'What ending this session would do now: who is freed at once, who blocks next and how many wait behind each, who goes '
  'on waiting for others. Reads only. blocked_seconds is the sum of present waits.';
