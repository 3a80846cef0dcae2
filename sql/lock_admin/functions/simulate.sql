-- What happens if this node leaves: lock_catalog.simulate() of the graph now, with what the door writes down and compares.
CREATE OR REPLACE FUNCTION lock_admin.simulate(p_node bigint)
RETURNS jsonb
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
  WITH
  g AS MATERIALIZED (SELECT w.* FROM lock_catalog.waits_for() AS w),
  told AS MATERIALIZED (
    SELECT s.* FROM lock_catalog.simulate((SELECT array_agg(ROW (g.*)::lock_catalog.graph) FROM g), ARRAY[p_node]) AS s),
  freed AS MATERIALIZED (
    SELECT g.*, t.behind FROM g JOIN told AS t ON t.node = g.node WHERE t.fate = 'freed'),
  me AS (SELECT g.* FROM g WHERE g.node = p_node)
  SELECT jsonb_build_object(
    'at', clock_timestamp(),
    'node', p_node,
    'blocks', (SELECT count(*) FROM told),
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
    'waiters', (SELECT coalesce(jsonb_agg(t.node ORDER BY t.node), '[]') FROM told AS t WHERE t.directly AND t.node > 0),
    'freed_count', (SELECT count(*) FROM freed),
    'freed', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                'pid', f.pid, 'backend_start', f.backend_start, 'object', f.object_key, 'wait_start', f.wait_start,
                'name', f.application_name) ORDER BY f.wait_start, f.pid), '[]') FROM freed AS f),
    'next_blockers', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                'pid', f.pid, 'backend_start', f.backend_start, 'application_name', f.application_name,
                'user_name', f.user_name, 'query', left(f.query, 200), 'lock_mode', f.lock_mode,
                'object_name', f.object_name, 'behind', f.behind) ORDER BY f.behind DESC, f.pid), '[]')
              FROM freed AS f WHERE f.behind > 0),
    'wait_behind_next', (SELECT count(*) FROM told AS t WHERE t.fate = 'next'),
    'wait_for_others', (SELECT count(*) FROM told AS t WHERE t.fate = 'others'))
$$;
COMMENT ON FUNCTION lock_admin.simulate(bigint) IS
  'What ending this session would do now: who is freed at once, who blocks next and how many wait behind each, who goes '
  'on waiting for others. Reads only. blocked_seconds is the sum of present waits.';
