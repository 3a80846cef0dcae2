-- The waits-for graph, exact and cheap, of the sessions given and of the locks given; where these are NULL they are read now.
--
-- Truth is pg_blocking_pids(): hard blocks (a conflicting lock is held) and soft blocks (a conflicting request queues
-- ahead). One call costs the square of the queue, so it is made once for each class of like waiters only:
--   class = same object, same mode, same number of conflicting requests of other modes ahead in the queue.
-- All members of a class have the blockers of its head, plus, where the mode conflicts with itself, the members ahead.
-- The queue's order is the order of wait_start. Where that cannot be relied on (a waiter that already holds a lock on
-- the object jumps the queue; wait_start unknown or closer than 20 ms between conflicting modes), each waiter is a
-- class of its own. More than 40 classes on one object: from there on the hard blockers follow from the conflict
-- table and of the soft ones only the head of the class ahead is named, so that the cost stays linear.
--
-- A node is a lock group: a session with the workers of its parallel query, whose members may wait for several things at
-- once. pg_blocking_pids() answers for all of them together, so of its answer each wait takes what concerns its object.
-- What only that needs stands between two marks, the first of them groups. While no lock group has several processes, which
-- is nearly always, a plan of a third less nodes is prepared for each look: the statement without what stands there, or
-- with what the second mark says. lock_catalog.graph_of, which is what is called, is made of both.
CREATE OR REPLACE FUNCTION lock_catalog.graph_of_groups(
  p_own_pids integer[], p_sessions lock_catalog.sessions[], p_locks lock_catalog.locks[])
RETURNS SETOF lock_catalog.graph
LANGUAGE plpgsql
VOLATILE
ROWS 100
SET search_path = pg_catalog, pg_temp
SET jit = off
SET plan_cache_mode = force_generic_plan
SET enable_mergejoin = off
-- hash tables are made as large as this at once wherever a recursive part is estimated too high
SET work_mem = '4MB'
AS $$
#variable_conflict use_column
DECLARE
  v_now timestamptz := clock_timestamp();
  -- names in this database are valid in its encoding; only of UTF8 every client can be told them all
  v_utf8 constant boolean := getdatabaseencoding() = 'UTF8';
  v_database oid := (SELECT d.oid FROM pg_database d WHERE d.datname = current_database());
  -- whose waits are left out is seen in the sessions that are read here: asking first would read them once more
  v_own_roles oid[] := CASE WHEN p_own_pids IS NULL
    THEN ARRAY(SELECT r.oid FROM pg_roles r WHERE r.rolname = ANY (ARRAY(SELECT unnest(lock_catalog.own_logins())))) END;
BEGIN
  RETURN QUERY
  WITH RECURSIVE
  s AS MATERIALIZED (
    -- what is not shown of a waiter or blocker is not asked: each column costs for each session
    SELECT x.pid, x.lock_group, x.lock_group::bigint AS node, x.backend_start, x.xact_start, x.query_start, x.state_change, x.user_oid, x.user_name,
           x.is_superuser, x.database_name, x.application_name, x.client_addr, x.client_hostname, x.state, x.wait_event_type, x.wait_event,
           x.backend_xid, x.query, x.query_truncated, x.query_id, x.backend_type, x.earliest_wait
      FROM /*live*/(SELECT y.* FROM lock_catalog.sessions y WHERE p_sessions IS NULL
            UNION ALL
            SELECT y.* FROM unnest(p_sessions) y)/*given unnest(p_sessions)*/ x),
  l AS MATERIALIZED (
    -- of a lock that is held nothing more is asked, and each column of a row that is kept costs
    SELECT x.pid, x.lock_type, CASE WHEN NOT x.granted THEN x.lock_mode END AS lock_mode, x.database_oid, x.relation_oid, x.page, x.tuple,
           CASE WHEN NOT x.granted THEN x.virtualxid END AS virtualxid,
           CASE WHEN NOT x.granted OR x.pid IS NULL THEN x.transactionid END AS transactionid,
           CASE WHEN NOT x.granted THEN x.classid END AS classid, CASE WHEN NOT x.granted THEN x.objid END AS objid,
           CASE WHEN NOT x.granted THEN x.objsubid END AS objsubid,
           CASE WHEN x.pid IS NULL THEN x.virtualtransaction END AS virtualtransaction, x.granted, x.wait_start,
           x.object_hash, x.mode_bit, x.conflict_bits, CASE WHEN NOT x.granted THEN x.object_key END AS object_key
      FROM /*live*/(SELECT y.* FROM lock_catalog.locks y WHERE p_locks IS NULL
            UNION ALL
            SELECT y.* FROM unnest(p_locks) y)/*given unnest(p_locks)*/ x
     -- the mode that never blocks: one comparison, where mode_bit is up to eight
     WHERE x.lock_mode <> 'SIReadLock'),
  -- waiters -----------------------------------------------------------------------------------------------------
  w AS MATERIALIZED (
    SELECT l.*, s.node, coalesce(l.wait_start, s.earliest_wait) AS began,
           l.wait_start IS NULL AS began_is_bound
      FROM l JOIN s ON s.pid = l.pid
     WHERE NOT l.granted
       AND l.pid <> ALL (/*live*/coalesce(p_own_pids, ARRAY(SELECT x.pid FROM s x WHERE x.user_oid = ANY (v_own_roles) OR x.pid = pg_backend_pid()))/*given p_own_pids*/)
       /*groups*//*alone AND NOT EXISTS (SELECT FROM s x WHERE x.lock_group <> x.pid)*/),
/*groups*/
  -- the sessions that wait for several things at once; what is shown of them first is what they have waited for longest
  several AS MATERIALIZED (
    SELECT DISTINCT ON (w.node) w.node, w.pid AS main_pid
      FROM w JOIN (SELECT x.node FROM w x GROUP BY x.node HAVING count(*) > 1) m ON m.node = w.node
     ORDER BY w.node, w.began, w.pid),/*alone */
  contended AS MATERIALIZED (
    SELECT w.object_hash, count(*) AS queue_length, min(w.mode_bit) <> max(w.mode_bit) AS mixed,
           bool_or(w.began_is_bound) AS unordered
      FROM w GROUP BY w.object_hash),
  held AS MATERIALIZED (
    SELECT l.object_hash, coalesce(s.node, -p.transactionid) AS node, l.pid, bit_or(l.mode_bit) AS mode_bits
      FROM l JOIN contended c ON c.object_hash = l.object_hash
      LEFT JOIN s ON s.pid = l.pid
      LEFT JOIN l p ON l.pid IS NULL AND p.pid IS NULL AND p.lock_type = 'transactionid'
                   AND p.virtualtransaction = l.virtualtransaction
     WHERE l.granted
     GROUP BY l.object_hash, coalesce(s.node, -p.transactionid), l.pid),
  close_calls AS (
    SELECT DISTINCT o.object_hash
      FROM (SELECT w.object_hash, w.mode_bit, w.began,
                   lag(w.began) OVER q AS before_began, lag(w.conflict_bits) OVER q AS before_conflicts,
                   lag(w.mode_bit) OVER q AS before_mode
              FROM w JOIN contended c ON c.object_hash = w.object_hash AND c.mixed
            WINDOW q AS (PARTITION BY w.object_hash ORDER BY w.began, w.pid)) o
     WHERE o.before_mode <> o.mode_bit AND o.before_conflicts & o.mode_bit <> 0
       AND o.began - o.before_began < interval '20 milliseconds'),
  each_alone AS MATERIALIZED (
    SELECT c.object_hash FROM contended c
     WHERE c.queue_length <= 64
       AND ((c.mixed AND c.unordered)
            OR EXISTS (SELECT 1 FROM close_calls k WHERE k.object_hash = c.object_hash)
            /*groups*/-- who stands behind one of them waits for its other waits, too
            OR EXISTS (SELECT 1 FROM several v JOIN w ON w.node = v.node WHERE w.object_hash = c.object_hash)/*alone */
            OR EXISTS (SELECT 1 FROM w JOIN held h ON h.object_hash = w.object_hash AND h.pid = w.pid
                        WHERE w.object_hash = c.object_hash))),
  -- requests of other, conflicting modes ahead: one running count a mode, only where modes are mixed
  ahead AS (
    SELECT w.pid, 0::bigint AS conflicting
      FROM w JOIN contended c ON c.object_hash = w.object_hash AND NOT c.mixed
    UNION ALL
    SELECT m.pid,
           CASE WHEN m.conflict_bits & 2 <> 0 AND m.mode_bit <> 2 THEN m.n1 ELSE 0 END
         + CASE WHEN m.conflict_bits & 4 <> 0 AND m.mode_bit <> 4 THEN m.n2 ELSE 0 END
         + CASE WHEN m.conflict_bits & 8 <> 0 AND m.mode_bit <> 8 THEN m.n3 ELSE 0 END
         + CASE WHEN m.conflict_bits & 16 <> 0 AND m.mode_bit <> 16 THEN m.n4 ELSE 0 END
         + CASE WHEN m.conflict_bits & 32 <> 0 AND m.mode_bit <> 32 THEN m.n5 ELSE 0 END
         + CASE WHEN m.conflict_bits & 64 <> 0 AND m.mode_bit <> 64 THEN m.n6 ELSE 0 END
         + CASE WHEN m.conflict_bits & 128 <> 0 AND m.mode_bit <> 128 THEN m.n7 ELSE 0 END
         + CASE WHEN m.conflict_bits & 256 <> 0 AND m.mode_bit <> 256 THEN m.n8 ELSE 0 END
      FROM (SELECT w.pid, w.mode_bit, w.conflict_bits,
                   count(*) FILTER (WHERE w.mode_bit = 2) OVER q AS n1, count(*) FILTER (WHERE w.mode_bit = 4) OVER q AS n2,
                   count(*) FILTER (WHERE w.mode_bit = 8) OVER q AS n3, count(*) FILTER (WHERE w.mode_bit = 16) OVER q AS n4,
                   count(*) FILTER (WHERE w.mode_bit = 32) OVER q AS n5, count(*) FILTER (WHERE w.mode_bit = 64) OVER q AS n6,
                   count(*) FILTER (WHERE w.mode_bit = 128) OVER q AS n7, count(*) FILTER (WHERE w.mode_bit = 256) OVER q AS n8
              FROM w JOIN contended c ON c.object_hash = w.object_hash AND c.mixed
            WINDOW q AS (PARTITION BY w.object_hash ORDER BY w.began, w.pid
                         ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)) m),
  classed AS (
    SELECT w.*, CASE WHEN a.object_hash IS NOT NULL THEN w.pid END AS alone,
           CASE WHEN a.object_hash IS NULL THEN x.conflicting END AS conflicting
      FROM w JOIN ahead x ON x.pid = w.pid LEFT JOIN each_alone a ON a.object_hash = w.object_hash),
  q AS MATERIALIZED (
    SELECT c.*, first_value(c.pid) OVER k AS head_pid, row_number() OVER k AS run_position
      FROM classed c
    WINDOW k AS (PARTITION BY c.object_hash, c.mode_bit, c.alone, c.conflicting ORDER BY c.began, c.pid)),
  class AS MATERIALIZED (
    SELECT q.head_pid, q.object_hash, q.mode_bit, q.conflict_bits, count(*) AS members,
           min(q.began) AS began, sum(date_part('epoch', v_now - q.began))::numeric AS seconds,
           row_number() OVER (PARTITION BY q.object_hash ORDER BY min(q.began), q.head_pid) AS class_no,
           bool_or(q.alone IS NOT NULL) AS alone
      FROM q GROUP BY q.head_pid, q.object_hash, q.mode_bit, q.conflict_bits),
  -- blockers of each class ------------------------------------------------------------------------------------------
  blocker AS (
    SELECT c.head_pid, c.object_hash, c.conflict_bits, b.pid AS blocker_pid, s.node
      FROM class c /*live*//*given JOIN unnest(p_blockers) x ON x.pid = c.head_pid*/
      CROSS JOIN LATERAL (SELECT DISTINCT u.pid FROM unnest(/*live*/pg_blocking_pids(c.head_pid)/*given x.blockers*/) AS u(pid)) b
      LEFT JOIN s ON s.pid = b.pid
     WHERE c.class_no <= 40 OR c.alone
    UNION ALL
    SELECT c.head_pid, c.object_hash, c.conflict_bits, coalesce(h.pid, 0), h.node
      FROM class c JOIN held h ON h.object_hash = c.object_hash AND h.mode_bits & c.conflict_bits <> 0
     WHERE c.class_no > 40 AND NOT c.alone
    UNION ALL
    SELECT c.head_pid, c.object_hash, c.conflict_bits, d.head_pid, s.node
      FROM class c JOIN class d ON d.object_hash = c.object_hash AND d.class_no = c.class_no - 1
                               AND d.mode_bit & c.conflict_bits <> 0
      JOIN s ON s.pid = d.head_pid
     WHERE c.class_no > 40 AND NOT c.alone),
  edge AS MATERIALIZED (
    SELECT e.head_pid, e.node, bool_or(e.is_hard) AS is_hard
      FROM (SELECT b.head_pid, coalesce(b.node, h.node, b.blocker_pid::bigint) AS node,
                   h.node IS NOT NULL AS is_hard
              FROM blocker b
              LEFT JOIN held h ON h.object_hash = b.object_hash AND h.mode_bits & b.conflict_bits <> 0
                              AND (h.node = b.node OR (b.blocker_pid = 0 AND h.node < 0))
              /*groups*/LEFT JOIN (SELECT w.pid, w.began FROM several v JOIN w ON w.node = v.node) o ON o.pid = b.head_pid
             -- of several waits: does it hold this object, or stand ahead in its queue?
             WHERE o.pid IS NULL OR h.node IS NOT NULL
                OR EXISTS (SELECT 1 FROM w a WHERE a.object_hash = b.object_hash AND a.node = b.node
                                               AND a.mode_bit & b.conflict_bits <> 0 AND a.began <= o.began)/*alone */) e
     WHERE NOT EXISTS (SELECT 1 FROM q WHERE q.head_pid = e.head_pid AND q.node = e.node)
     GROUP BY e.head_pid, e.node
    -- always true; lets the planner expect few edges and make the hash tables of what follows small
    HAVING count(*) > 0 AND min(e.head_pid) > 0),
  member AS MATERIALIZED (SELECT DISTINCT q.node, q.head_pid FROM q),
  /*live*/-- Many classes, each behind one blocker, nobody in two classes or waiting for two things: where there is no cycle either this
  -- is a forest, and what stands behind each is added up from the leaves (a chain of a thousand reaches half a million).
  tree (head_pid, node, up, root, level) AS (
    SELECT e.head_pid, e.node, NULL::integer, e.node, 0
      FROM edge e LEFT JOIN member m ON m.node = e.node
     WHERE m.node IS NULL
       AND (SELECT count(*) > 64 AND count(*) = count(DISTINCT x.head_pid) FROM edge x)
       AND (SELECT count(*) = count(DISTINCT x.node) FROM member x) /*groups*/AND NOT EXISTS (SELECT 1 FROM several)/*alone */
    UNION ALL
    SELECT e.head_pid, e.node, t.head_pid, t.root, t.level + 1
      FROM tree t JOIN member m ON m.head_pid = t.head_pid JOIN edge e ON e.node = m.node),
  forest AS MATERIALIZED (
    SELECT t.head_pid, t.node, t.up, t.root, (row_number() OVER (ORDER BY t.level DESC, t.head_pid))::integer AS leaf_first
      FROM tree t
     WHERE (SELECT count(*) FROM tree) = (SELECT count(*) FROM edge)),
  in_forest AS MATERIALIZED (
    SELECT x.nodes[a.place] AS node, x.members[a.place] AS members, a.total, a.since, a.seconds
      FROM (SELECT array_agg(f.node ORDER BY f.leaf_first) AS nodes, array_agg(u.leaf_first ORDER BY f.leaf_first) AS ups,
                   array_agg(c.members ORDER BY f.leaf_first) AS members, array_agg(c.began ORDER BY f.leaf_first) AS begans,
                   array_agg(c.seconds ORDER BY f.leaf_first) AS seconds
              FROM forest f JOIN class c ON c.head_pid = f.head_pid LEFT JOIN forest u ON u.head_pid = f.up) x
      CROSS JOIN LATERAL lock_catalog.add_up(x.ups, x.members, x.begans, x.seconds) a),/*given */
  reach (head_pid, node) AS (
    SELECT e.head_pid, e.node FROM edge e /*live*/WHERE NOT EXISTS (SELECT 1 FROM forest)/*given */
    UNION
    SELECT r.head_pid, e.node FROM reach r JOIN member m ON m.node = r.node JOIN edge e ON e.head_pid = m.head_pid),
  reached AS MATERIALIZED (
    -- a chain of a thousand reaches half a million: each of these joins finds one row at most, nothing is sorted or grouped
    SELECT r.head_pid, r.node, m.node IS NOT NULL AS waits, o.node IS NOT NULL AS cyclic, e.node IS NOT NULL AS directly
      FROM reach r
      LEFT JOIN (SELECT DISTINCT x.node FROM member x) m ON m.node = r.node
      LEFT JOIN member o ON o.node = r.node AND o.head_pid = r.head_pid
      LEFT JOIN edge e ON e.head_pid = r.head_pid AND e.node = r.node),
  class_roots AS MATERIALIZED (
    SELECT r.head_pid, array_agg(r.node ORDER BY r.node) AS roots FROM reached r WHERE NOT r.waits GROUP BY r.head_pid
    /*live*/UNION ALL
    SELECT f.head_pid, ARRAY[f.root] FROM forest f/*given */
    UNION ALL
    -- whoever waits for a cycle alone has all of it
    SELECT r.head_pid, array_agg(r.node ORDER BY r.node)
      FROM reached r
     WHERE r.head_pid NOT IN (SELECT x.head_pid FROM reached x WHERE NOT x.waits)
     GROUP BY r.head_pid),
  deadlocked AS (SELECT DISTINCT r.node FROM reached r WHERE r.cyclic),
  class_edges AS MATERIALIZED (
    SELECT e.head_pid,
           array_agg(e.node ORDER BY e.node) FILTER (WHERE e.is_hard) AS hard,
           array_agg(e.node ORDER BY e.node) FILTER (WHERE NOT e.is_hard) AS soft
      FROM edge e GROUP BY e.head_pid),
  wait AS MATERIALIZED (
    SELECT q.*, n.page AS row_page, n.tuple AS row_tuple, n.relation_oid AS row_relation, n.database_oid AS row_database,
           /*groups*/q.pid = coalesce(v.main_pid, q.pid)/*alone true*/ AS is_main
      FROM q
      LEFT JOIN (SELECT DISTINCT ON (t.pid) t.pid, t.page, t.tuple, t.relation_oid, t.database_oid
                   FROM l t WHERE t.lock_type = 'tuple' AND t.granted) n
        ON n.pid = CASE WHEN q.lock_type = 'transactionid' THEN q.pid END
      /*groups*/LEFT JOIN several v ON v.node = q.node/*alone */),
  class_parent AS MATERIALIZED (
    SELECT ce.head_pid, lock_catalog.shown_under(ce.hard, ce.soft, w.lock_type, up.hard, up.soft) AS parent
      FROM class_edges ce
      JOIN w ON w.pid = ce.head_pid
      LEFT JOIN wait m ON m.node = ce.hard[1] AND m.is_main
      LEFT JOIN class_edges up ON up.head_pid = m.head_pid),
  -- what stands behind each blocker -----------------------------------------------------------------------------------
/*groups*/
  -- the members of the classes are waits; a session that waits for several things is still one that waits
  surplus AS MATERIALIZED (
    SELECT x.node, sum(x.waits - 1) AS total, sum(greatest(x.directly - 1, 0)) AS directly, sum(x.seconds - x.longest) AS seconds
      FROM (SELECT r.node, q.node AS waiter, count(*) AS waits,
                   count(*) FILTER (WHERE r.directly) AS directly,
                   sum(extract(epoch FROM v_now - q.began))::numeric AS seconds,
                   max(extract(epoch FROM v_now - q.began))::numeric AS longest
              FROM several v JOIN q ON q.node = v.node JOIN reached r ON r.head_pid = q.head_pid
             GROUP BY r.node, q.node) x
     GROUP BY x.node),/*alone */
  impact AS MATERIALIZED (
    SELECT i.node, (i.total /*groups*/- coalesce(u.total, 0)/*alone */)::integer AS total, (i.directly /*groups*/- coalesce(u.directly, 0)/*alone */)::integer AS directly,
           i.since, round(i.seconds /*groups*/- coalesce(u.seconds, 0)/*alone */, 3) AS seconds
      FROM (SELECT r.node, sum(c.members) AS total,
                   sum(c.members) FILTER (WHERE r.directly) AS directly,
                   min(c.began) AS since, sum(c.seconds) AS seconds
              FROM reached r JOIN class c ON c.head_pid = r.head_pid
             GROUP BY r.node
            /*live*/UNION ALL
            SELECT f.node, sum(f.total), sum(f.members), min(f.since), sum(f.seconds) FROM in_forest f GROUP BY f.node/*given */) i
      /*groups*/LEFT JOIN surplus u ON u.node = i.node/*alone */),
  holding AS (
    SELECT coalesce(s.node, -p.transactionid) AS node, count(*)::integer AS locks,
           (count(*) FILTER (WHERE l.mode_bit & l.conflict_bits <> 0
                               AND l.lock_type NOT IN ('virtualxid', 'transactionid')))::integer AS exclusive,
           max(l.mode_bit) FILTER (WHERE l.lock_type = 'relation') AS strongest_lock
      FROM l LEFT JOIN s ON s.pid = l.pid
      LEFT JOIN l p ON l.pid IS NULL AND p.pid IS NULL AND p.lock_type = 'transactionid'
                   AND p.virtualtransaction = l.virtualtransaction
     WHERE l.granted GROUP BY 1),
  -- what its locks that others wait for are
  held_back AS (
    SELECT e.node, bool_and(w.lock_type = 'advisory') AS advisory_only
      FROM edge e JOIN w ON w.pid = e.head_pid WHERE e.is_hard GROUP BY e.node),
  nodes AS (SELECT m.node FROM member m UNION SELECT i.node FROM impact i),
  facts AS (
    SELECT n.node, (CASE WHEN n.node < 0 THEN 0 ELSE n.node END)::integer AS pid, s.backend_start,
           coalesce(s.user_name, /*live*/lock_catalog.readable(px.owner::text)/*given px.owner*/) AS user_name, s.is_superuser,
           coalesce(s.database_name, /*live*/lock_catalog.readable(px.database::text)/*given px.database*/) AS database_name, s.application_name, s.client_addr,
           s.client_hostname, s.backend_type, s.state, s.state_change, s.xact_start, s.query_start, s.query,
           s.query_truncated, s.query_id, coalesce(s.backend_xid, CASE WHEN n.node < 0 THEN -n.node END) AS backend_xid,
           /*live*/lock_catalog.readable(px.gid)/*given px.gid*/ AS prepared_gid, px.prepared AS prepared_at,
           w.node IS NOT NULL AS waits, w.lock_type, w.lock_mode, w.mode_bit, w.began, w.began_is_bound, w.transactionid,
           w.pid AS process,
           w.head_pid, w.run_position, w.mode_bit & w.conflict_bits <> 0 AS self_conflict, w.object_hash,
           coalesce(w.row_relation::bigint, -1) AS row_relation, coalesce(w.row_page, -1) AS row_page,
           coalesce(w.row_tuple, -1) AS row_tuple,
           i.directly, i.total, i.since, i.seconds, coalesce(h.locks, 0) AS locks, coalesce(h.exclusive, 0) AS exclusive,
           s.wait_event_type, s.wait_event, h.strongest_lock, v.advisory_only,
           EXISTS (SELECT 1 FROM deadlocked d WHERE d.node = n.node) AS in_deadlock
      FROM nodes n
      LEFT JOIN s ON s.pid = n.node
      LEFT JOIN /*live*/pg_prepared_xacts/*given unnest(p_prepared)*/ px ON n.node < 0 AND px.transaction/*live*/::text::bigint/*given */ = -n.node
      LEFT JOIN wait w ON w.node = n.node AND w.is_main
      LEFT JOIN impact i ON i.node = n.node
      LEFT JOIN holding h ON h.node = n.node
      LEFT JOIN held_back v ON v.node = n.node),
  -- each object is named once, however many wait for it
  object AS MATERIALIZED (
    SELECT o.*, /*live*/c.nspname/*given c.schema_name*/ AS schema_name, /*live*/c.relname/*given c.relation_name*/ AS relation_name,
           CASE WHEN o.lock_type = 'object' THEN /*live*/lock_catalog.described_object(o.database_oid, o.classid, o.objid, o.objsubid)/*given c.described*/ ELSE
           lock_catalog.object_name(o.lock_type, /*live*/c.nspname, c.relname/*given c.schema_name, c.relation_name*/, c.relkind, o.relation_oid,
                                    o.page, o.tuple, o.virtualxid, o.transactionid, o.classid, o.objid,
                                    o.objsubid) END AS object_name
      FROM (SELECT DISTINCT ON (w.object_hash, w.row_relation, w.row_page, w.row_tuple)
                   w.object_hash, coalesce(w.row_relation::bigint, -1) AS row_relation, coalesce(w.row_page, -1) AS row_page,
                   coalesce(w.row_tuple, -1) AS row_tuple, w.object_key, w.lock_type, w.virtualxid, w.transactionid,
                   w.classid, w.objid, w.objsubid, coalesce(w.row_page, w.page) AS page, coalesce(w.row_tuple, w.tuple) AS tuple,
                   coalesce(w.row_relation, w.relation_oid) AS relation_oid,
                   coalesce(w.row_database, w.database_oid) AS database_oid
              FROM wait w) o
      /*live*/-- a look-up for each (OFFSET 0), whatever the size of pg_class
      LEFT JOIN LATERAL (SELECT CASE WHEN v_utf8 THEN x.relname::text ELSE lock_catalog.readable(x.relname::text) END AS relname, x.relkind,
                                CASE WHEN v_utf8 THEN n.nspname::text ELSE lock_catalog.readable(n.nspname::text) END AS nspname
                           FROM pg_class x JOIN pg_namespace n ON n.oid = x.relnamespace
                          WHERE x.oid = o.relation_oid AND o.database_oid IN (0, v_database)
                         OFFSET 0) c ON true/*given
      LEFT JOIN unnest(p_names) c ON c.database_oid = o.database_oid AND c.classid IS NOT DISTINCT FROM o.classid
                                 AND c.objid = coalesce(o.relation_oid, o.objid) AND c.objsubid IS NOT DISTINCT FROM o.objsubid
                                 AND (o.lock_type = 'object' OR o.relation_oid IS NOT NULL)*/),
/*groups*/
  -- each wait of those that have several, with the columns that a node of its own would have
  all_waits AS MATERIALIZED (
    SELECT w.node, jsonb_agg(jsonb_build_object(
             'node', w.node, 'process', w.pid, 'is_waiting', true, 'lock_type', w.lock_type, 'lock_mode', w.lock_mode,
             'object_key', o.object_key, 'object_name', o.object_name, 'schema_name', o.schema_name,
             'relation_name', o.relation_name, 'relation_oid', o.relation_oid, 'database_oid', o.database_oid, 'page', o.page,
             'tuple', o.tuple, 'transactionid', w.transactionid, 'wait_start', w.began, 'wait_start_is_bound', w.began_is_bound,
             'hard_blockers', coalesce(ce.hard, '{}'), 'soft_blockers', coalesce(ce.soft, '{}'), 'run_head', hs.node,
             'run_position', w.run_position, 'run_conflicts_itself', w.mode_bit & w.conflict_bits <> 0, 'parent', cp.parent,
             'roots', coalesce(cr.roots, '{}')) ORDER BY NOT w.is_main, w.began, w.pid) AS waits
      FROM several v JOIN wait w ON w.node = v.node
      LEFT JOIN object o ON o.object_hash = w.object_hash AND o.row_relation = coalesce(w.row_relation::bigint, -1)
                        AND o.row_page = coalesce(w.row_page, -1) AND o.row_tuple = coalesce(w.row_tuple, -1)
      LEFT JOIN class_edges ce ON ce.head_pid = w.head_pid
      LEFT JOIN class_parent cp ON cp.head_pid = w.head_pid
      LEFT JOIN class_roots cr ON cr.head_pid = w.head_pid
      LEFT JOIN s hs ON hs.pid = w.head_pid
     GROUP BY w.node),
  all_edges AS MATERIALIZED (
    SELECT e.node, array_agg(e.blocker ORDER BY e.blocker) FILTER (WHERE e.is_hard) AS hard,
           array_agg(e.blocker ORDER BY e.blocker) FILTER (WHERE NOT e.is_hard) AS soft
      FROM (SELECT q.node, e.node AS blocker, bool_or(e.is_hard) AS is_hard
              FROM several v JOIN q ON q.node = v.node JOIN edge e ON e.head_pid = q.head_pid
             GROUP BY q.node, e.node) e
     GROUP BY e.node),
  all_roots AS MATERIALIZED (
    SELECT q.node, coalesce(array_agg(DISTINCT r.node ORDER BY r.node) FILTER (WHERE NOT r.waits),
                            array_agg(DISTINCT r.node ORDER BY r.node)) AS roots
      FROM several v JOIN q ON q.node = v.node JOIN reached r ON r.head_pid = q.head_pid
     GROUP BY q.node),/*alone */
  described AS (
    SELECT f.*, o.object_key, o.object_name, o.schema_name, o.relation_name, o.relation_oid, o.database_oid, o.page,
           o.tuple,
           CASE
             WHEN f.node < 0 THEN 'prepared_transaction'
             WHEN f.waits AND f.total IS NOT NULL AND f.lock_type = 'relation' AND f.mode_bit >= 16
                  AND f.backend_type IN ('client backend', 'parallel worker') THEN 'queued_ddl'
             WHEN f.waits AND (f.total IS NULL OR f.backend_type IN ('client backend', 'parallel worker')) THEN 'waiting'
             ELSE lock_catalog.session_kind(f.backend_type, f.state, f.wait_event_type, f.wait_event, f.query, v_now - f.query_start,
                                            f.strongest_lock, f.advisory_only)
           END AS kind
      FROM facts f
      LEFT JOIN object o ON o.object_hash = f.object_hash AND o.row_relation = f.row_relation
                        AND o.row_page = f.row_page AND o.row_tuple = f.row_tuple)
  SELECT d.node, d.pid, d.backend_start, d.user_name, d.is_superuser, d.database_name, d.application_name,
         d.client_addr, d.client_hostname, d.backend_type, d.state, d.state_change, d.xact_start, d.query_start, d.query,
         d.query_truncated, d.query_id, d.backend_xid, d.prepared_gid, d.prepared_at,
         d.waits, d.total IS NOT NULL AND NOT d.waits, d.in_deadlock,
         d.lock_type, d.lock_mode, d.object_key, d.object_name, d.schema_name, d.relation_name, d.relation_oid,
         d.database_oid, d.page, d.tuple, d.transactionid, d.began, CASE WHEN d.waits THEN d.began_is_bound END,
         /*groups*/CASE WHEN aw.node IS NOT NULL THEN coalesce(ae.hard, '{}') ELSE/*alone */ coalesce(ce.hard, '{}') /*groups*/END/*alone */,
         /*groups*/CASE WHEN aw.node IS NOT NULL THEN coalesce(ae.soft, '{}') ELSE/*alone */ coalesce(ce.soft, '{}') /*groups*/END/*alone */,
         hs.node, d.run_position::integer, d.self_conflict,
         CASE WHEN d.waits THEN /*groups*/coalesce(cp.parent, ae.hard[1], ae.soft[1])/*alone cp.parent*/ END,
         CASE WHEN NOT d.waits THEN '{}' /*groups*/WHEN aw.node IS NOT NULL THEN coalesce(ar.roots, '{}')/*alone */ ELSE coalesce(cr.roots, '{}') END,
         coalesce(d.directly, 0), coalesce(d.total, 0), d.since, d.seconds,
         CASE WHEN d.total IS NOT NULL THEN
           lock_engine.blocker_severity(d.total, extract(epoch FROM v_now - d.since)::numeric, NOT d.waits OR d.in_deadlock) END, d.kind,
         CASE WHEN d.total IS NOT NULL THEN
           lock_engine.recommended_action(d.kind, d.pid, d.prepared_gid, d.backend_xid IS NOT NULL, d.query,
                                          d.lock_mode || ' on ' || d.object_name) END,
         d.locks, d.exclusive, d.process, /*groups*/aw.waits/*alone NULL::jsonb*/,
         -- who has no lock with which rows of the table are changed has only locked the row (FOR SHARE, a foreign key's check), and others may have, too
         CASE WHEN d.lock_type = 'transactionid' AND d.tuple IS NOT NULL THEN
           (ce.hard[1], d.database_oid, d.relation_oid) NOT IN (
             SELECT l.pid::bigint, l.database_oid, l.relation_oid FROM l
              WHERE l.granted AND l.mode_bit >= 8 AND l.lock_type = 'relation' AND l.pid IS NOT NULL) END
    FROM described d
    /*groups*/LEFT JOIN all_waits aw ON aw.node = d.node LEFT JOIN all_edges ae ON ae.node = d.node LEFT JOIN all_roots ar ON ar.node = d.node/*alone */
    LEFT JOIN class_edges ce ON ce.head_pid = d.head_pid
    LEFT JOIN class_parent cp ON cp.head_pid = d.head_pid
    LEFT JOIN class_roots cr ON cr.head_pid = d.head_pid
    LEFT JOIN s hs ON hs.pid = d.head_pid
   WHERE NOT (d.total IS NULL AND d.head_pid IS NULL);
END
$$;
COMMENT ON FUNCTION lock_catalog.graph_of_groups(integer[], lock_catalog.sessions[], lock_catalog.locks[]) IS
  'lock_catalog.graph_of(), whether there are lock groups of several processes or not: the text that it is made of.';
