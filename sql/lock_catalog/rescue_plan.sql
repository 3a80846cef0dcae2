-- The rescue plan: which sessions to stop, one after the other, so that most go on soonest. Rows of the waits-for graph in, steps
-- out; no table is read.
--
-- Each move is the best stop, or the best two, of those tried: more sessions freed at once, then less lost, then fewer stops, then
-- the lower pid. After it the graph without them is looked at again, p_moves times.
--   * Tried are all that somebody stands right behind: roots, queued DDL, heads of queues. Two together: of the 30 with most behind.
--   * Cancelled is what runs or waits. Terminated is whom a cancel does not make let go (lock_engine.blocker_kinds), who holds an
--     advisory lock that others want: it may be the session's, which outlives a cancel, and who holds anything that others want and
--     has begun its transaction before its statement: its client may have a savepoint, and what was locked before that outlives a cancel.
--   * Lost is nothing (it is idle and has written nothing, or waits before it has begun), a statement, or a transaction by its seconds. When a
--     transaction first wrote PostgreSQL does not tell, so they count from its beginning.
--   * A prepared transaction, a kind of session that is never stopped (lock_catalog.never_stopped) and one of which it is not known
--     that a stop frees anybody are named instead, and so is a ring of waits, which PostgreSQL breaks itself.
-- Who is freed is lock_catalog.freeing(). Followed by ("follow") those of whom all that hold them up have been stopped or go on.
CREATE OR REPLACE FUNCTION lock_catalog.rescue_plan(
  p_graph lock_catalog.graph[], p_at timestamptz, p_own_pid integer, p_own_logins text[], p_protected_users text[],
  p_past boolean DEFAULT false, p_moves integer DEFAULT 2)
RETURNS TABLE (
  step integer, action text, node bigint, pid integer, backend_start timestamptz, who text, frees_at_once integer, follow integer,
  at_least boolean, loses text, text text)
LANGUAGE plpgsql
STABLE
PARALLEL SAFE
ROWS 10
SET search_path = pg_catalog, pg_temp
SET jit = off
SET plan_cache_mode = force_generic_plan
SET enable_nestloop = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH RECURSIVE
  waits AS MATERIALIZED (SELECT row_number() OVER ()::integer AS id, f.* FROM lock_catalog.freeing(p_graph, 2 * p_moves) AS f),
  blocker AS MATERIALIZED (
    SELECT x.node, x.pid, x.backend_start, x.user_name, x.is_superuser, x.application_name, x.backend_type, x.state, x.xact_start,
           x.query_start, x.backend_xid, x.prepared_gid, x.is_waiting, x.in_deadlock, x.kind, x.blocked_total, x.locks_held,
           coalesce(x.run_head, x.node) AS run_head, x.hard_blockers AS hard, x.soft_blockers AS soft, x.lock_type,
           CASE WHEN x.backend_type = 'autovacuum worker' THEN x.query END AS query
      FROM unnest(p_graph) AS x WHERE x.blocked_total > 0),
  users AS (
    SELECT u.user_name, u.user_name = ANY (p_own_logins) AS is_own,
           lock_admin.name_matches(u.user_name, p_protected_users) AS is_protected
      FROM (SELECT DISTINCT b.user_name FROM blocker AS b) AS u),
  -- what a statement holds only until it ends does not count
  holds AS (
    SELECT u.node, bool_or(w.lock_type = 'advisory') AS advisory
      FROM waits AS w CROSS JOIN LATERAL unnest(w.hard) AS u(node)
     WHERE w.lock_type NOT IN ('tuple', 'spectoken') GROUP BY u.node),
  -- everybody who holds somebody up, what to do about it, what that loses, or why nothing is to be done
  judged AS MATERIALIZED (
    SELECT g.*, coalesce(a.advisory, false) AS advisory, s.possible AS savepoint,
           CASE WHEN g.node < 0 THEN 'prepared_transaction'
                WHEN g.in_deadlock THEN 'ring'
                WHEN g.pid = p_own_pid THEN 'own_session'
                ELSE coalesce(
                  lock_catalog.never_stopped(g.pid, g.user_name, g.is_superuser, g.backend_type, NULL, g.query, u.is_own, u.is_protected),
                  CASE WHEN g.kind = 'waits_for_standby' THEN g.kind
                       WHEN k.kind IS NULL OR k.terminate IS NULL OR k.terminate <> 'yes' THEN 'kind' END) END AS spared,
           CASE WHEN r.runs AND NOT coalesce(a.advisory, false) AND NOT s.possible THEN 'cancel' ELSE 'terminate' END AS action,
           CASE -- idle without a transaction id; or waits before it has begun: it holds nothing but its own two ids, as a strong lock on
                -- a relation takes a transaction id before anything is written
                WHEN CASE WHEN g.is_waiting
                          THEN g.lock_type NOT IN ('transactionid', 'tuple', 'virtualxid', 'spectoken')
                               AND (g.backend_xid IS NULL OR g.locks_held <= 2)
                          ELSE g.backend_xid IS NULL AND g.state NOT IN ('active', 'fastpath function call', 'disabled') END THEN 0
                WHEN k.loses = 'time' OR g.backend_xid IS NULL OR (g.state = 'active' AND g.xact_start >= g.query_start) THEN 1
                ELSE 2 END AS loss
      FROM blocker AS g
      LEFT JOIN lock_engine.blocker_kinds() AS k ON k.kind = g.kind
      LEFT JOIN users AS u ON u.user_name = g.user_name
      LEFT JOIN holds AS a ON a.node = g.node
     CROSS JOIN LATERAL (
       SELECT coalesce(k.cancel <> 'no' AND (g.is_waiting OR g.state IN ('active', 'fastpath function call')), false) AS runs) AS r
     CROSS JOIN LATERAL (SELECT r.runs AND a.node IS NOT NULL AND coalesce(g.xact_start < g.query_start, false) AS possible) AS s),
  member AS MATERIALIZED (
    SELECT w.id, w.own, w.waiters, u.node FROM waits AS w CROSS JOIN LATERAL unnest(w.needs) AS u(node)),
  candidate AS MATERIALIZED (
    SELECT j.node, j.loss, j.blocked_total AS behind,
           CASE WHEN j.loss = 2 THEN (date_part('epoch', p_at - j.xact_start) * 1000000)::bigint ELSE 0 END AS lost_us
      FROM judged AS j JOIN (SELECT DISTINCT m.node FROM member AS m) AS d ON d.node = j.node
     WHERE j.spared IS NULL),
  hopeless AS MATERIALIZED (
    SELECT DISTINCT m.id FROM member AS m LEFT JOIN candidate AS c ON c.node = m.node WHERE c.node IS NULL),
  wanted AS MATERIALIZED (
    SELECT m.* FROM member AS m LEFT JOIN hopeless AS h ON h.id = m.id WHERE h.id IS NULL),
  move (number, stopped, nodes, first_frees, frees) AS (
    SELECT 0, '{}'::bigint[], NULL::bigint[], NULL::integer, NULL::integer
    UNION ALL
    SELECT m.number + 1, m.stopped || best.nodes, best.nodes, best.first_frees, best.frees
      FROM move AS m
     CROSS JOIN LATERAL (
       WITH left_over AS MATERIALIZED (
         SELECT w.id, w.own, w.waiters, count(*) AS needed, min(w.node) AS a, max(w.node) AS b
           FROM wanted AS w
          WHERE w.node <> ALL (m.stopped) AND (w.own IS NULL OR w.own <> ALL (m.stopped))
          GROUP BY w.id, w.own, w.waiters HAVING count(*) <= 2),
       alone AS MATERIALIZED (
         SELECT l.a AS node, sum(l.waiters)::integer AS frees FROM left_over AS l WHERE l.needed = 1 GROUP BY l.a),
       gone AS (SELECT r.own AS node FROM waits AS r WHERE r.own IS NOT NULL AND r.needs <@ m.stopped),
       live AS MATERIALIZED (
         SELECT c.*, coalesce(a.frees, 0) AS frees
           FROM candidate AS c LEFT JOIN alone AS a ON a.node = c.node LEFT JOIN gone AS x ON x.node = c.node
          WHERE c.node <> ALL (m.stopped) AND x.node IS NULL),
       most AS MATERIALIZED (SELECT l.* FROM live AS l ORDER BY l.behind DESC, l.node LIMIT 30),
       waits_for AS MATERIALIZED (SELECT l.own, l.a AS node FROM left_over AS l WHERE l.needed = 1 AND l.own IS NOT NULL),
       together AS MATERIALIZED (
         SELECT l.a, l.b, sum(l.waiters)::integer AS frees FROM left_over AS l WHERE l.needed = 2 GROUP BY l.a, l.b),
       choice AS (
         SELECT l.node AS a, NULL::bigint AS b, l.frees, l.loss, l.lost_us, 1 AS stops, true AS a_first, l.frees AS a_frees, 0 AS b_frees
           FROM live AS l WHERE l.frees > 0
         UNION ALL
         SELECT x.node, y.node,
                -- one of the two that waits for the other is no longer there to be freed
                x.frees + y.frees + coalesce(t.frees, 0) - (xy.own IS NOT NULL)::integer - (yx.own IS NOT NULL)::integer,
                greatest(x.loss, y.loss), x.lost_us + y.lost_us, 2,
                -- who waits for the other goes first: later it would need no stop; else by the order of single stops
                CASE WHEN xy.own IS NOT NULL THEN true WHEN yx.own IS NOT NULL THEN false
                     WHEN x.frees <> y.frees THEN x.frees > y.frees WHEN x.loss <> y.loss THEN x.loss < y.loss
                     ELSE coalesce(x.lost_us <= y.lost_us, y.lost_us IS NULL) END,
                x.frees, y.frees
           FROM most AS x JOIN most AS y ON y.node > x.node
           LEFT JOIN together AS t ON t.a = x.node AND t.b = y.node
           LEFT JOIN waits_for AS xy ON xy.own = x.node AND xy.node = y.node
           LEFT JOIN waits_for AS yx ON yx.own = y.node AND yx.node = x.node)
       SELECT CASE WHEN c.b IS NULL THEN ARRAY[c.a] WHEN c.a_first THEN ARRAY[c.a, c.b] ELSE ARRAY[c.b, c.a] END AS nodes,
              CASE WHEN c.a_first THEN c.a_frees ELSE c.b_frees END AS first_frees, c.frees
         FROM choice AS c WHERE c.frees > 0
        ORDER BY c.frees DESC, c.loss, c.lost_us NULLS LAST, c.stops, c.a, c.b LIMIT 1) AS best
     WHERE m.number < p_moves),
  stop AS MATERIALIZED (
    SELECT row_number() OVER (ORDER BY m.number, n.part)::integer AS step, n.node, m.frees AS together,
           CASE WHEN n.part = 1 THEN m.first_frees ELSE m.frees - m.first_frees END AS frees
      FROM move AS m CROSS JOIN LATERAL unnest(m.nodes) WITH ORDINALITY AS n(node, part)),
  -- until which step each class of waiters is held up: until the last of its blockers has been stopped or goes on itself
  class AS MATERIALIZED (
    SELECT row_number() OVER ()::integer AS id, c.*, c.hard || c.soft AS blockers
      FROM (SELECT w.run_head, w.hard, w.soft, w.lock_type, sum(w.waiters)::integer AS members, bool_or(w.is_bound) AS bound,
                   bool_or(w.inserts) AND sum(w.waiters) > 1 AS of_keys, bool_or(w.may_be_shared) AS may_be_shared
              FROM waits AS w GROUP BY w.run_head, w.hard, w.soft, w.lock_type) AS c),
  blocks AS MATERIALIZED (
    SELECT DISTINCT c.id, CASE WHEN NOT w.in_deadlock THEN up.id END AS up, coalesce(s.step, 1000) AS until
      FROM class AS c CROSS JOIN LATERAL unnest(c.blockers) AS b(node)
      LEFT JOIN judged AS w ON w.node = b.node AND w.is_waiting
      LEFT JOIN class AS up ON up.run_head = w.run_head AND up.hard = w.hard AND up.soft = w.soft AND up.lock_type = w.lock_type
      LEFT JOIN stop AS s ON s.node = b.node),
  -- what class u blocks stands at places begins[u] to begins[u + 1] - 1: a step of the recursion costs the same whatever there is
  laid_out AS MATERIALIZED (
    SELECT (SELECT array_agg(b.id ORDER BY b.up, b.id, b.until) FROM blocks AS b WHERE b.up IS NOT NULL) AS ids,
           (SELECT array_agg(b.until ORDER BY b.up, b.id, b.until) FROM blocks AS b WHERE b.up IS NOT NULL) AS untils,
           (SELECT 1 || array_agg(n.so_far ORDER BY n.id)
              FROM (SELECT c.id, (1 + sum(coalesce(b.number, 0)) OVER (ORDER BY c.id))::integer AS so_far
                      FROM class AS c
                      LEFT JOIN (SELECT x.up, count(*) AS number FROM blocks AS x GROUP BY x.up) AS b ON b.up = c.id) AS n) AS begins),
  held (id, until) AS (
    SELECT b.id, b.until FROM blocks AS b WHERE b.up IS NULL
    UNION
    SELECT l.ids[p.place], least(l.untils[p.place], h.until)
      FROM held AS h CROSS JOIN laid_out AS l
     CROSS JOIN LATERAL generate_series(l.begins[h.id], l.begins[h.id + 1] - 1) AS p(place)),
  goes_on AS MATERIALIZED (SELECT h.id, max(h.until) AS step FROM held AS h GROUP BY h.id),
  going AS MATERIALIZED (
    SELECT o.step, sum(c.members)::integer - coalesce(sum(x.stopped)::integer, 0) AS waiters, bool_or(c.lock_type = 'advisory') AS advisory
      FROM class AS c
      LEFT JOIN goes_on AS o ON o.id = c.id
      -- who has been stopped by then does not go on; who is stopped later would have
      LEFT JOIN (SELECT y.id, count(*) FILTER (WHERE s.step <= coalesce(z.step, 1000)) AS stopped
                   FROM stop AS s JOIN judged AS j ON j.node = s.node AND j.is_waiting
                   JOIN class AS y ON y.run_head = j.run_head AND y.hard = j.hard AND y.soft = j.soft AND y.lock_type = j.lock_type
                   LEFT JOIN goes_on AS z ON z.id = y.id GROUP BY y.id) AS x ON x.id = c.id
     GROUP BY o.step),
  row_heads AS (SELECT DISTINCT b.node FROM class AS c CROSS JOIN LATERAL unnest(c.blockers) AS b(node) WHERE c.lock_type = 'tuple'),
  touched AS (
    SELECT s.step, bool_or(c.bound) AS bound, bool_or(r.node IS NOT NULL) AS of_row, bool_or(c.of_keys) AS of_keys, bool_or(c.may_be_shared) AS may_be_shared
      FROM class AS c CROSS JOIN LATERAL unnest(c.blockers) AS b(node) JOIN stop AS s ON s.node = b.node
      LEFT JOIN row_heads AS r ON r.node = c.run_head GROUP BY s.step),
  named AS MATERIALIZED (
    SELECT j.*, regexp_replace(CASE WHEN j.node < 0 THEN 'prepared transaction ' || quote_literal(left(coalesce(j.prepared_gid, 'unknown'), 60))
                    ELSE left(coalesce(nullif(j.application_name, ''), nullif(j.user_name, ''), j.backend_type, 'unknown'), 60) END,
                  '[[:cntrl:]]', '?', 'g') AS who
      FROM judged AS j
     WHERE j.spared IS NOT NULL OR EXISTS (SELECT FROM stop AS s WHERE s.node = j.node)),
  told AS (
    SELECT s.step, n.action, n.node, n.pid, n.backend_start, n.who, s.frees, s.together, (p_past AND t.bound) OR coalesce(t.of_keys, false) AS at_least, t.of_row, t.of_keys,
           CASE WHEN t.may_be_shared THEN ', if nobody else has locked the row, too' ELSE '' END AS condition,
           greatest(coalesce(o.waiters, 0) - s.frees, 0) AS follow,
           CASE WHEN o.advisory THEN 'commits or unlocks' ELSE 'commits' END AS how,
           CASE WHEN n.advisory THEN ' (terminated, as an advisory lock may outlive a cancel)'
                WHEN n.savepoint THEN ' (terminated: a cancel makes it let go only if its client has no savepoint)' ELSE '' END AS why,
           CASE n.loss
             WHEN 0 THEN CASE n.action WHEN 'cancel' THEN 'nothing' ELSE 'nothing but its connection' END
             WHEN 1 THEN 'its statement of ' || coalesce(lock_catalog.in_words(p_at - n.query_start), 'unknown length')
                    || CASE WHEN n.kind = 'concurrent_ddl' THEN ', and an INVALID index stays' ELSE '' END
             ELSE coalesce('its transaction, ' || lock_catalog.in_words(p_at - n.xact_start) || ' at most (since it began)',
                           'its transaction, of unknown length') END AS loses
      FROM stop AS s JOIN named AS n ON n.node = s.node
      LEFT JOIN going AS o ON o.step = s.step LEFT JOIN touched AS t ON t.step = s.step),
  spared AS (
    SELECT n.*, row_number() OVER (ORDER BY n.blocked_total DESC, n.node) AS place FROM named AS n WHERE n.spared IS NOT NULL),
  stuck AS (
    SELECT coalesce(sum(o.waiters), 0) AS waiters FROM going AS o WHERE o.step = 1000 OR o.step IS NULL)
  SELECT r.step, r.action, r.node, r.pid, r.backend_start, r.who, r.frees, r.follow, r.at_least, r.loses, r.text
    FROM (
      SELECT 1 AS part, t.step AS place, t.step, t.action, t.node, t.pid, t.backend_start, t.who, t.frees, t.follow, t.at_least, t.loses,
             format('%s %s (%s): %s%s%s; loses %s%s.',
               CASE WHEN t.step = 1 THEN initcap(t.action) ELSE 'Then ' || t.action END, t.who, t.pid,
               CASE WHEN t.frees = 0 THEN format('frees nobody by itself, %s at once with the next step', t.together)
                    ELSE format('frees %s%s', CASE WHEN t.at_least THEN 'at least ' ELSE '' END,
                           CASE WHEN t.frees = 1 THEN '1' ELSE t.frees || ' at once' END) || t.condition END,
               CASE WHEN t.follow = 0 THEN '' WHEN t.follow = 1 THEN ', the next one follows as it ' || t.how
                    ELSE format(', the next %s follow as each %s', t.follow, t.how) END,
               CASE WHEN t.of_row AND t.frees = 1 AND t.follow > 0 THEN ' (one row: no stop frees more)'
                    WHEN t.of_keys AND t.follow > 0 THEN ' (they insert, it may be the same key)' ELSE '' END,
               t.loses, t.why)
        FROM told AS t
      UNION ALL
      SELECT 2, s.place, NULL, 'leave', s.node, s.pid, s.backend_start, s.who, NULL, NULL, false, NULL,
             format('%s%s is left alone, with %s behind it: %s', s.who, CASE WHEN s.pid > 0 THEN format(' (%s)', s.pid) ELSE '' END, s.blocked_total,
               CASE s.spared
                 WHEN 'ring' THEN 'it is in a ring of waits, of which PostgreSQL ends one within deadlock_timeout.'
                 WHEN 'waits_for_standby' THEN 'it has committed and waits for its standby: stopping it leaves the commit unconfirmed.'
                 WHEN 'kind' THEN format('what stopping it does is not known here (%s).', coalesce(s.kind, 'unknown'))
                 ELSE replace(lock_admin.refusal_message(s.spared, s.pid), 'Not stopped: ', '') END)
        FROM spared AS s WHERE s.place <= 5
      UNION ALL
      SELECT 3, 0, NULL, 'note', NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, format('%s more are left alone for such reasons.', count(*))
        FROM spared AS s WHERE s.place > 5 HAVING count(*) > 0
      UNION ALL
      SELECT 4, 0, NULL, 'note', NULL, NULL, NULL, NULL, NULL, NULL, false, NULL,
             CASE WHEN s.waiters = 1 THEN '1 session goes on waiting' ELSE format('%s sessions go on waiting', s.waiters) END
             || CASE WHEN (SELECT max(m.number) FROM move AS m) = p_moves THEN ' after these steps: look again then.'
                     ELSE ': no stop, and no two together, would free anybody else.' END
        FROM stuck AS s WHERE s.waiters > 0
      UNION ALL
      SELECT 5, 0, NULL, 'note', NULL, NULL, NULL, NULL, NULL, NULL, false, NULL,
             format('Two stops together were tried of the 30 with most behind them, of %s; each alone of all.', c.number)
        FROM (SELECT count(*) AS number FROM candidate) AS c WHERE c.number > 30) AS r (
      part, place, step, action, node, pid, backend_start, who, frees, follow, at_least, loses, text)
   ORDER BY r.part, r.place;
END
$$;
COMMENT ON FUNCTION lock_catalog.rescue_plan(lock_catalog.graph[], timestamptz, integer, text[], text[], boolean, integer) IS
  'Which sessions to stop, and in which order, so that most of a waits-for graph go on soonest (p_at: its moment). Rows without a '
  'step say who is left alone and why, who goes on waiting, and what was not tried. at_least: a past moment whose queue has no '
  'known order. Reads no table. See docs/door.md.';
