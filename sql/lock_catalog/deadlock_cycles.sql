-- Deadlock cycles alive now, in the true waits-for graph (pg_blocking_pids: hard and soft edges, lock groups as one).
--
-- Cheap, because it is asked twenty times a deadlock_timeout: every cycle has to leave each queue it passes through by
-- a session that waits elsewhere while it holds what is queued for. So the queues are the nodes of a small graph, and
-- where that has no cycle (a convoy, a chain, however long) nothing more is done. Only then pg_blocking_pids() is asked,
-- for the waiters in those queues. A cycle is reported only if every member still waits for the same thing afterwards.
-- Versions: before PostgreSQL 14 no wait_start: when each was first seen waiting (wait_starts) and when its statement began
-- (check_starts) stand in for it; the former is kept in the session.
CREATE OR REPLACE FUNCTION lock_catalog.deadlock_cycles(
  OUT waiters integer, OUT wait_starts timestamptz[], OUT check_starts timestamptz[], OUT cycles jsonb)
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
  c_many constant integer := 100;
  v_pids integer[];
  v_nodes integer[];
  v_statements timestamptz[];
  v_wait_pid integer[];
  v_wait_object bigint[];
  v_from bigint[];
  v_to bigint[];
  v_left integer;
  v_grouped boolean;
  v_candidates integer[];
  v_source integer[];
  v_target integer[];
  v_start integer;
  v_reached integer[];
  v_came_from integer[];
  v_frontier integer[];
  v_next integer[];
  v_next_from integer[];
  v_cycle integer[];
  v_covered integer[] := '{}';
  v_nodes_json jsonb;
BEGIN
  waiters := 0; wait_starts := '{}'; cycles := '[]';
  PERFORM pg_stat_clear_snapshot();
  SELECT array_agg(a.pid), array_agg(a.lock_group), array_agg(a.query_start), count(*) <> count(DISTINCT a.lock_group)
    INTO v_pids, v_nodes, v_statements, v_grouped
    FROM lock_catalog.sessions a WHERE a.wait_event_type = 'Lock';
  IF v_pids IS NULL THEN
    RETURN;
  END IF;
  WITH s AS MATERIALIZED (SELECT u.pid, u.node FROM unnest(v_pids, v_nodes) u(pid, node)),
  l AS MATERIALIZED (
    SELECT k.pid, s.node, k.object_hash, k.granted, k.wait_start
      FROM lock_catalog.locks k JOIN s ON s.pid = k.pid WHERE k.mode_bit <> 0),
  w AS MATERIALIZED (SELECT l.* FROM l WHERE NOT l.granted),
  e AS (
    SELECT DISTINCT h.object_hash AS a, o.object_hash AS b
      FROM l h JOIN w o ON o.node = h.node
     WHERE h.granted AND EXISTS (SELECT FROM w x WHERE x.object_hash = h.object_hash AND x.node <> h.node))
  SELECT (SELECT count(*) FROM w)::integer, (SELECT array_agg(w.pid) FROM w),
         (SELECT array_agg(w.object_hash) FROM w), (SELECT array_agg(w.wait_start) FROM w),
         (SELECT array_agg(e.a) FROM e), (SELECT array_agg(e.b) FROM e)
    INTO waiters, v_wait_pid, v_wait_object, wait_starts, v_from, v_to;
  IF waiters = 0 THEN
    wait_starts := '{}';
    RETURN;
  END IF;
  IF current_setting('server_version_num')::integer < 140000 THEN
    wait_starts := lock_catalog.remembered_waits(v_wait_pid, v_wait_object);
    -- most statements wait at once: then this is when the wait began
    check_starts := v_statements;
  ELSE
    check_starts := wait_starts;
  END IF;
  IF v_from IS NULL OR waiters < 2 THEN
    RETURN;
  END IF;

  -- queues that are on no cycle go
  IF NOT v_grouped THEN
    LOOP
      v_left := cardinality(v_from);
      SELECT array_agg(u.a), array_agg(u.b) INTO v_from, v_to
        FROM unnest(v_from, v_to) u(a, b) WHERE u.b = ANY (v_from) AND u.a = ANY (v_to);
      IF v_from IS NULL THEN
        RETURN;
      END IF;
      EXIT WHEN cardinality(v_from) = v_left;
    END LOOP;
  END IF;

  -- the waiters in those queues; of a great many only those that hold what others wait for and one of each kind
  SELECT array_agg(DISTINCT s.node) INTO v_candidates
    FROM unnest(v_wait_pid, v_wait_object) w(pid, object_hash)
    JOIN unnest(v_pids, v_nodes) s(pid, node) ON s.pid = w.pid
   WHERE v_grouped OR w.object_hash = ANY (v_from) OR w.object_hash = ANY (v_to);
  IF cardinality(v_candidates) > c_many THEN
    SELECT array_agg(DISTINCT c.node) INTO v_candidates FROM (
      SELECT s.node FROM lock_catalog.locks k JOIN unnest(v_pids, v_nodes) s(pid, node) ON s.pid = k.pid
       WHERE k.granted AND k.object_hash = ANY (v_from)
      UNION
      SELECT (array_agg(s.node ORDER BY k.wait_start))[1] FROM lock_catalog.locks k
        JOIN unnest(v_pids, v_nodes) s(pid, node) ON s.pid = k.pid
       WHERE NOT k.granted AND k.object_hash = ANY (v_from) GROUP BY k.object_hash, k.lock_mode) c;
  END IF;
  SELECT array_agg(g.node), array_agg(g.blocker) INTO v_source, v_target
    FROM (SELECT DISTINCT c.node, b.blocker
            FROM unnest(v_candidates) c(node) CROSS JOIN LATERAL unnest(pg_blocking_pids(c.node)) b(blocker)
           WHERE b.blocker <> c.node AND b.blocker = ANY (v_candidates)) g;
  LOOP
    EXIT WHEN v_source IS NULL;
    v_left := cardinality(v_source);
    SELECT array_agg(u.a), array_agg(u.b) INTO v_source, v_target
      FROM unnest(v_source, v_target) u(a, b) WHERE u.b = ANY (v_source) AND u.a = ANY (v_target);
    EXIT WHEN cardinality(v_source) = v_left;
  END LOOP;
  IF v_source IS NULL THEN
    RETURN;
  END IF;

  -- the shortest cycle through each session that no cycle found so far passes through
  FOR v_start IN SELECT DISTINCT u.a FROM unnest(v_source) u(a) ORDER BY 1 LOOP
    CONTINUE WHEN v_start = ANY (v_covered);
    v_reached := '{}'; v_came_from := '{}'; v_frontier := ARRAY[v_start];
    LOOP
      SELECT array_agg(d.b), array_agg(d.a) INTO v_next, v_next_from
        FROM (SELECT DISTINCT ON (u.b) u.b, u.a FROM unnest(v_source, v_target) u(a, b)
               WHERE u.a = ANY (v_frontier) AND u.b <> ALL (v_reached) ORDER BY u.b, u.a) d;
      EXIT WHEN v_next IS NULL;
      v_reached := v_reached || v_next; v_came_from := v_came_from || v_next_from; v_frontier := v_next;
      EXIT WHEN v_start = ANY (v_reached);
    END LOOP;
    CONTINUE WHEN v_next IS NULL;
    v_cycle := ARRAY[v_came_from[array_position(v_reached, v_start)]];
    WHILE v_cycle[1] <> v_start LOOP
      v_cycle := v_came_from[array_position(v_reached, v_cycle[1])] || v_cycle;
    END LOOP;
    v_covered := v_covered || v_cycle;
    v_nodes_json := lock_catalog.deadlock_members(v_cycle, v_wait_pid, v_wait_object);
    IF v_nodes_json IS NOT NULL THEN
      cycles := cycles || jsonb_build_array(v_nodes_json);
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION lock_catalog.deadlock_cycles() IS
  'Deadlock cycles alive now, as an array of arrays of members (see lock_catalog.deadlock_members), each member waiting for '
  'the next; the number of waiting processes, and since when each waits (before PostgreSQL 14: since when this session has '
  'seen it waiting). A chain or a convoy is never a cycle.';
