-- The nodes of the tree of a stored moment, each with whom it waits for and the rows that tell the rest of it. Of a queue of like waiters
-- only the first one's row tells when their blockers change (lock_engine.store_locks): a follower has those of the first waiter ahead of it, and its own where
-- none is stored. The members of a parallel query are one node; rows of a release that stored no lock group are a node each.
CREATE OR REPLACE FUNCTION lock_engine.nodes_at(p_at timestamptz)
RETURNS TABLE (node bigint, blocker bigint, waits bigint[], hard_blockers bigint[], soft_blockers bigint[], roots bigint[], run_head bigint, parent bigint)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
  WITH row AS (
    SELECT s.* FROM lock_monitoring.lock_activity_s s WHERE NOT s.lock_granted AND s.load_date <= p_at AND s.load_end_date IS NULL
    UNION ALL
    SELECT s.* FROM lock_monitoring.lock_activity_s s
     WHERE NOT s.lock_granted AND s.load_date <= p_at AND s.load_date > p_at - interval '1 day' AND s.load_end_date > p_at
    UNION ALL
    SELECT s.* FROM lock_monitoring.lock_activity_s s
     WHERE NOT s.lock_granted AND s.load_date <= p_at - interval '1 day' AND s.load_end_date - s.load_date > interval '1 day' AND s.load_end_date > p_at),
  queue AS MATERIALIZED (
    SELECT r.satellite_id, coalesce(r.lock_group, r.lock_pid)::bigint AS node, coalesce(r.wait_start, r.load_date) AS began, r.lock_pid, r.object_key,
           r.lock_mode, r.lock_type, r.queue_position, coalesce(r.soft_blocking_nodes, '{}') AS soft, coalesce(r.root_nodes, '{}') AS roots, r.run_head,
           ARRAY(SELECT u.node FROM unnest(r.blocking_nodes) WITH ORDINALITY AS u (node, place)
                  WHERE u.node <> ALL (coalesce(r.soft_blocking_nodes, '{}')) ORDER BY u.place) AS hard
      FROM row r),
  headed AS (
    SELECT q.*, array_agg(q.satellite_id) FILTER (WHERE q.queue_position = 1 AND q.object_key IS NOT NULL)
                  OVER (PARTITION BY q.object_key, q.lock_mode ORDER BY q.began, q.lock_pid ROWS UNBOUNDED PRECEDING) AS heads
      FROM queue q),
  placed AS MATERIALIZED (
    SELECT h.satellite_id, h.node, h.began, h.lock_pid, h.lock_type, coalesce(f.hard, h.hard) AS hard, coalesce(f.soft, h.soft) AS soft,
           coalesce(f.roots, h.roots) AS roots, CASE WHEN f.satellite_id IS NULL THEN h.run_head ELSE f.run_head END AS run_head
      FROM headed h
      LEFT JOIN queue f ON f.satellite_id = h.heads[cardinality(h.heads)] AND h.queue_position > 1),
  -- shown first is what it has waited for longest
  main AS MATERIALIZED (SELECT DISTINCT ON (p.node) p.* FROM placed p ORDER BY p.node, p.began, p.lock_pid),
  waiter AS MATERIALIZED (
    SELECT m.node, m.run_head, x.waits,
           CASE WHEN cardinality(x.waits) = 1 THEN m.hard ELSE ARRAY(SELECT DISTINCT u.n FROM placed p, unnest(p.hard) u (n) WHERE p.node = m.node ORDER BY 1) END AS hard,
           CASE WHEN cardinality(x.waits) = 1 THEN m.soft ELSE ARRAY(SELECT DISTINCT u.n FROM placed p, unnest(p.soft) u (n) WHERE p.node = m.node ORDER BY 1) END AS soft,
           CASE WHEN cardinality(x.waits) = 1 THEN m.roots ELSE ARRAY(SELECT DISTINCT u.n FROM placed p, unnest(p.roots) u (n) WHERE p.node = m.node ORDER BY 1) END AS roots,
           lock_catalog.shown_under(m.hard, m.soft, m.lock_type, h.hard, h.soft) AS parent
      FROM main m
      JOIN (SELECT p.node, array_agg(p.satellite_id ORDER BY p.began, p.lock_pid) AS waits FROM placed p GROUP BY p.node) x ON x.node = m.node
      LEFT JOIN main h ON h.node = m.hard[1]),
  blocker AS (
    SELECT DISTINCT ON (y.node) y.*
      FROM (SELECT coalesce(s.node, s.session_pid) AS node, s.satellite_id, s.hard_blockers, s.soft_blockers, s.root_nodes
              FROM (SELECT s.* FROM lock_monitoring.blocking_session_s s WHERE s.load_date <= p_at AND s.load_end_date IS NULL
                    UNION ALL
                    SELECT s.* FROM lock_monitoring.blocking_session_s s
                     WHERE s.load_date <= p_at AND s.load_date > p_at - interval '1 day' AND s.load_end_date > p_at
                    UNION ALL
                    SELECT s.* FROM lock_monitoring.blocking_session_s s
                     WHERE s.load_date <= p_at - interval '1 day' AND s.load_end_date - s.load_date > interval '1 day' AND s.load_end_date > p_at) s) y
     ORDER BY y.node, y.satellite_id DESC)
  SELECT coalesce(w.node, b.node), b.satellite_id, coalesce(w.waits, '{}'), coalesce(w.hard, b.hard_blockers, '{}'), coalesce(w.soft, b.soft_blockers, '{}'),
         coalesce(w.roots, b.root_nodes, '{}'), w.run_head,
         CASE WHEN w.node IS NULL THEN lock_catalog.shown_under(b.hard_blockers, b.soft_blockers, NULL, NULL, NULL) ELSE w.parent END
    FROM waiter w FULL JOIN blocker b ON b.node = w.node
$$;
COMMENT ON FUNCTION lock_engine.nodes_at(timestamptz) IS
  'Who waited and who blocked at a stored moment: node (a pid, of a parallel query its leader''s, or minus the xid of a prepared transaction), satellite_id of its row in '
  'blocking_session_s and of its waits in lock_activity_s (the longest first), blockers, roots, and under whom a tree shows it.';
GRANT EXECUTE ON FUNCTION lock_engine.nodes_at(timestamptz) TO lock_monitoring_role;
