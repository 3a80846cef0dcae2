-- Compares the locks that exist with the open rows of lock_activity_s and stores the difference in one statement.
-- An open row stays while its fingerprint (what PostgreSQL shows of the lock, plus who blocks it) is the same and its
-- duration has not reached the next step. Of a queue of like waiters only the head carries its blockers in its
-- fingerprint, so that one waiter leaving does not rewrite all that stand behind it (lock_engine.waits_for_at rebuilds
-- the rest).
-- p_unseen_since: nobody has looked since then. What is not there any more, or cannot be proven to be the same lock of the
-- same transaction (and the same wait), ended somewhere between: its row ends with the last sight, ended_by is now.
-- lock_engine.store_locks_seen is made of this text, for a look that was kept (store_kept.sql).
-- How a wait ended is told where it is proven, else it is unknown: without the lock where what it waited for is still in the way
-- (waits_not_served.sql), with it where the very statement goes on, or its transaction holds the lock, and the statement could not have
-- caught an error (lock_engine.fails_as_a_whole). A failed transaction does not tell whether it failed in its wait or after it, nor does
-- a session that is gone, nor a signal of the door: the lock may have come before it.
-- When: not before the last look that saw it waiting, and before the next one was done reading (last_seen_at, not_seen_at). What the log
-- says of it comes after that, by lock_engine.settle_endings.
-- A row never ends before it began, and never begins before the one that it replaces ended, wherever the clock was set.
CREATE OR REPLACE FUNCTION lock_engine.store_locks(
  p_now timestamptz, p_min_age interval, p_everything boolean, p_own_pids integer[], p_anyone_waits boolean,
  p_unseen_since timestamptz, p_apart bigint[] DEFAULT '{}',
  OUT locks integer, OUT blocking integer, OUT critical integer, OUT waiting integer, OUT written integer,
  OUT refresh_at timestamptz, OUT blockers lock_catalog.graph[])
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET plan_cache_mode = force_generic_plan
-- The plan is made once for a connection that lives for weeks, perhaps when the tables are still empty: only hash joins
-- and the index of the open rows stay good however much there will be.
SET enable_nestloop = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET enable_sort = off
SET work_mem = '32MB'
AS $$
#variable_conflict use_column
DECLARE
  v_steps double precision[] := lock_engine.duration_steps();
  v_step_intervals interval[] := ARRAY(SELECT make_interval(secs => x.s) FROM unnest(v_steps) WITH ORDINALITY AS x (s, n) ORDER BY x.n);
  v_own_logins text[] := ARRAY(SELECT e.login FROM (SELECT lock_admin.setting('monitor.own_logins') AS logins) o,
    jsonb_array_elements_text(CASE jsonb_typeof(o.logins) WHEN 'array' THEN o.logins ELSE '[]' END) e (login));
  v_claims text[] := lock_engine.claim_patterns();
  v_first_refresh timestamptz := p_now + interval '1 minute';
  v_old timestamptz := p_now - p_min_age;
  -- sessions are read before locks: what a wait is stored with may be of the statement before it, but of none that began later than this
  c_looking constant interval := interval '200 milliseconds';
  v_restarted timestamptz := pg_postmaster_start_time();
  v_any_prepared boolean := EXISTS (SELECT 1 FROM pg_prepared_xact());
  v_aside boolean := p_anyone_waits OR v_any_prepared;
  v_utf8 constant boolean := getdatabaseencoding() = 'UTF8';
  -- when the open rows were compared with PostgreSQL last, before now
  v_compared timestamptz := (SELECT w.compared_before FROM lock_engine.watch_state w WHERE w.watch_state_id = 1);
  v_current_database oid := (SELECT d.oid FROM pg_database d WHERE d.datname = current_database());
BEGIN
  WITH
  everybody AS MATERIALIZED (SELECT x.* FROM lock_catalog.sessions x),
  s AS MATERIALIZED (
    SELECT x.*, x.lock_group::bigint AS node, x.user_name::varchar(100) AS stored_user,
           x.database_name::varchar(100) AS stored_database, x.application_name::varchar(200) AS stored_application,
           coalesce(date_part('epoch', x.backend_start) * 1000000, 0)::bigint AS session_epoch,
           -- the log's %c: PostgreSQL cuts the second, it does not round it
           to_hex(floor(date_part('epoch', x.backend_start))::bigint) || '.' || to_hex(x.pid) AS session_id,
           -- 18 shows a backend that has not logged in yet: what it holds is nobody's
           coalesce(x.state = 'starting', false) AS starting
      FROM everybody x
     -- by login too: a session of the monitor may have come since its pids were read
     WHERE x.pid <> ALL (p_own_pids) AND (x.user_name IS NULL OR x.user_name <> ALL (v_own_logins))),
  -- read once: kept aside where they are gone through more than once, else as they come
  aside AS MATERIALIZED (
    SELECT x.lock_type, x.database_oid, x.relation_oid, x.page, x.tuple, x.virtualxid, x.transactionid, x.classid, x.objid,
           x.objsubid, x.virtualtransaction, x.pid, x.lock_mode, x.granted, x.fastpath, x.wait_start, x.object_hash, x.row_hash,
           CASE WHEN NOT x.granted THEN x.object_key END AS object_key, x.mode_bit, x.conflict_bits
      FROM lock_catalog.locks x WHERE v_aside),
  g AS MATERIALIZED (
    SELECT n.*
      FROM lock_catalog.graph_of(p_own_pids, ARRAY(SELECT x::lock_catalog.sessions FROM everybody x),
                                 ARRAY(SELECT x::lock_catalog.locks FROM aside x)) n
     WHERE p_anyone_waits),
  -- each lock that is waited for by its own truth: the members of a parallel query may wait for several things
  w AS MATERIALIZED (
    SELECT g.node, NULL::integer AS process, g.relation_oid, g.database_oid, g.page, g.tuple, g.object_name, g.wait_start,
           g.wait_start_is_bound, g.hard_blockers, g.soft_blockers, g.run_head, g.run_position, g.roots, NULL::text AS beside
      FROM g WHERE g.is_waiting AND g.waits IS NULL
    UNION ALL
    SELECT (m.wait).node, (m.wait).process, (m.wait).relation_oid, (m.wait).database_oid, (m.wait).page, (m.wait).tuple,
           (m.wait).object_name, (m.wait).wait_start, (m.wait).wait_start_is_bound, (m.wait).hard_blockers, (m.wait).soft_blockers,
           (m.wait).run_head, (m.wait).run_position, (m.wait).roots,
           -- the longest comes first and is the session's; see the column's comment
           CASE WHEN m.place > 1 THEN
             CASE WHEN EXISTS (SELECT 1 FROM jsonb_array_elements(m.waits) WITH ORDINALITY e (wait, place)
                                WHERE e.place < m.place AND coalesce(e.wait ->> 'relation_oid', e.wait ->> 'lock_type')
                                                            = coalesce((m.wait).relation_oid::text, (m.wait).lock_type))
                  THEN 'member' ELSE 'object' END END
      FROM (SELECT jsonb_populate_record(NULL::lock_catalog.graph, e.wait) AS wait, e.place, g.waits
              FROM g CROSS JOIN LATERAL jsonb_array_elements(g.waits) WITH ORDINALITY e (wait, place)
             -- = 'array', not IS NOT NULL: of ten thousand expected here each lock would be hashed, not these
             WHERE jsonb_typeof(g.waits) = 'array' OFFSET 0) m),
  wanted AS MATERIALIZED (
    SELECT x.object_hash, x.mode_bit, count(*) AS waiters, min(x.since) AS since
      FROM (SELECT k.object_hash, k.mode_bit, s.node, min(coalesce(k.wait_start, s.earliest_wait)) AS since
              FROM aside k JOIN s ON s.pid = k.pid
             WHERE p_anyone_waits AND NOT k.granted
             GROUP BY k.object_hash, k.mode_bit, s.node) x
     GROUP BY x.object_hash, x.mode_bit),
  -- what waits behind a lock held in each of the eight modes
  behind AS MATERIALIZED (
    SELECT w.object_hash, m.mode_bit, sum(w.waiters)::integer AS waiters,
           sum(w.waiters * extract(epoch FROM p_now - w.since))::numeric AS seconds
      FROM wanted w
      JOIN (VALUES (2, 256), (4, 384), (8, 480), (16, 496), (32, 472), (64, 504), (128, 508), (256, 510)) AS m (mode_bit, conflict_bits)
        ON w.mode_bit & m.conflict_bits <> 0
     GROUP BY w.object_hash, m.mode_bit
    -- always true; lets the planner expect few rows and hash this side, not the locks
    HAVING sum(w.waiters) > 0 AND min(w.waiters) > 0),
  prepared AS MATERIALIZED (
    SELECT k.virtualtransaction, p.prepared, lock_catalog.readable(p.owner::text)::varchar(100) AS user_name,
           lock_catalog.readable(p.database::text)::varchar(100) AS database_name
      FROM aside k JOIN pg_prepared_xacts p ON p.transaction::text::bigint = k.transactionid
     WHERE v_any_prepared AND k.pid IS NULL AND k.lock_type = 'transactionid'),
  kept AS MATERIALIZED (
    -- nobody waits, nothing is prepared; a wait that began since that was found out is the next look's, which asks who blocks it
    SELECT k.row_hash # s.session_epoch AS print, NULL::integer AS waiters, k.granted, k.fastpath, k.mode_bit, k.pid,
           k.relation_oid AS rel_oid, k.database_oid AS rel_database, s.session_epoch,
           NULL::timestamptz AS began, NULL::numeric AS seconds,
           k.lock_type, k.lock_mode, k.virtualtransaction, k.database_oid, k.relation_oid, k.page, k.tuple, k.classid, k.objid,
           k.objsubid, k.transactionid, k.virtualxid, k.wait_start, NULL::varchar(100) AS prepared_by,
           NULL::varchar(100) AS prepared_in
      FROM lock_catalog.locks k JOIN s ON s.pid = k.pid
     WHERE NOT v_aside AND k.pid <> ALL (p_apart) AND k.granted AND NOT s.starting AND (p_everything OR coalesce(s.xact_start, s.backend_start) < v_old)
    UNION ALL
    SELECT k.row_hash # coalesce(s.session_epoch, 0) # (coalesce(b.waiters, 0)::bigint * 1000003)
             # CASE WHEN g.run_position = 1
                    THEN hashtextextended(concat_ws('|', g.hard_blockers, g.soft_blockers, g.roots), 0) ELSE 0 END
             # CASE WHEN g.beside IS NULL THEN 0 ELSE hashtextextended(g.beside, 0) END,
           b.waiters, k.granted, k.fastpath, k.mode_bit, k.pid, coalesce(g.relation_oid, k.relation_oid),
           coalesce(g.database_oid, k.database_oid), coalesce(s.session_epoch, 0),
           CASE WHEN NOT k.granted THEN coalesce(g.wait_start, k.wait_start, s.earliest_wait) ELSE p.prepared END, b.seconds,
           k.lock_type, k.lock_mode, k.virtualtransaction, k.database_oid, k.relation_oid, k.page, k.tuple, k.classid, k.objid,
           k.objsubid, k.transactionid, k.virtualxid, k.wait_start, p.user_name, p.database_name
      FROM aside k
      LEFT JOIN s ON s.pid = k.pid
      LEFT JOIN prepared p ON p.virtualtransaction = CASE WHEN k.pid IS NULL THEN k.virtualtransaction END
      LEFT JOIN behind b ON b.mode_bit = k.mode_bit AND b.object_hash = CASE WHEN k.granted THEN k.object_hash END
      LEFT JOIN w g ON g.node = CASE WHEN NOT k.granted THEN s.node END AND coalesce(g.process, k.pid) = k.pid
     WHERE (s.pid IS NOT NULL OR p.prepared IS NOT NULL) AND coalesce(k.pid, 0) <> ALL (p_apart)
       AND (k.granted OR p_anyone_waits)
       AND (NOT k.granted OR b.waiters > 0
            OR s.starting IS NOT TRUE AND (p_everything OR coalesce(s.xact_start, s.backend_start, p.prepared) < v_old))),
  -- each open row, and the fingerprint of the lock that it still describes; NULL: the lock has changed, or is gone
  open_rows AS MATERIALIZED (
    SELECT o.tableoid AS home, o.ctid AS place, o.lock_activity_hk, o.load_date, o.refresh_at, o.lock_granted, o.lock_pid, o.backend_start,
           o.query_start, o.held_since_at_least, o.lock_group, o.beside, o.wait_start, o.wait_start_is_bound, k.print AS unchanged
      FROM lock_monitoring.lock_activity_s o
      LEFT JOIN kept k ON k.print = CASE WHEN o.refresh_at > p_now THEN o.fingerprint END
     WHERE o.load_end_date IS NULL),
  -- what is new or changed, with its key and all that is stored of it
  timed AS MATERIALIZED (
    -- what is looked at often comes first: reading a column of a row kept aside costs all that stand before it
    SELECT r.pid, r.rel_oid, r.rel_database, r.matters, r.granted, r.just_granted, r.fastpath, r.mode_bit, r.step, r.replaces,
           -- locks that neither wait nor block are refreshed from one minute on
           CASE WHEN r.since >= p_now AND NOT r.matters THEN v_first_refresh
                ELSE r.since + v_step_intervals[greatest(r.step, CASE WHEN r.matters THEN 0 ELSE 6 END) + 1] END AS next_refresh,
           r.hk, r.bk, r.proven, r.virtualtransaction, r.prepared_by, r.prepared_in, r.print, r.since, r.seconds_so_far, r.waiters, r.seconds,
           r.lock_type, r.lock_mode, r.object_key, r.page, r.tuple, r.transactionid, r.wait_start, r.was_beside
      FROM (
        -- most are seen for the first time now: no arithmetic for them
        SELECT y.*, CASE WHEN y.since >= p_now THEN 0 ELSE date_part('epoch', p_now - y.since) END AS seconds_so_far,
               CASE WHEN y.since >= p_now THEN 1 ELSE width_bucket(date_part('epoch', p_now - y.since), v_steps) END AS step
          FROM (
            SELECT f.*, NOT f.granted OR f.waiters > 0 AS matters,
                   CASE WHEN NOT f.granted THEN f.began
                        WHEN f.just_granted OR f.replaces IS NULL THEN coalesce(f.began, p_now)
                        WHEN NOT f.proven THEN p_now
                        ELSE coalesce(f.was_held, p_now) END AS since
              FROM (
                SELECT DISTINCT ON (h.hk) h.*, o.load_date AS replaces, o.held_since_at_least AS was_held, o.beside AS was_beside,
                       o.load_date IS NOT NULL AND NOT o.lock_granted AND h.granted AS just_granted,
                       CASE WHEN p_unseen_since IS NULL THEN true
                            ELSE (h.granted OR h.began <= p_unseen_since)
                                 AND EXISTS (SELECT 1 FROM lock_monitoring.lock_activity_s q
                                              WHERE q.ctid = o.place AND q.tableoid = o.home AND q.lock_virtualtransaction = h.virtualtransaction)
                            END AS proven
                  FROM (
                    SELECT b.*, sha256(convert_to(b.bk, 'UTF8')) AS hk
                      FROM (
                        SELECT n.*, concat_ws('|', coalesce(n.pid, 0),
                                 CASE WHEN n.pid IS NULL THEN n.virtualtransaction ELSE n.session_epoch::text END,
                                 n.object_key, n.lock_mode) AS bk
                          FROM (
                            SELECT k.*,
                                   -- as in lock_catalog.locks, here only for what is written: it is the dearest column
                                   CASE k.lock_type WHEN 'transactionid' THEN 'transactionid:' || k.transactionid
                                     WHEN 'virtualxid' THEN 'virtualxid:' || k.virtualxid
                                     ELSE concat_ws(':', k.lock_type, k.database_oid, k.relation_oid, k.page, k.tuple,
                                                    k.classid, k.objid, k.objsubid, k.transactionid) END AS object_key
                              FROM kept k
                             WHERE NOT EXISTS (SELECT 1 FROM open_rows u WHERE u.unchanged = k.print)
                            -- OFFSET 0, here and twice below: each text and hash is made once, and only of what is left
                            OFFSET 0) n
                        OFFSET 0) b
                    OFFSET 0) h
                  LEFT JOIN open_rows o ON o.lock_activity_hk = h.hk
                 -- PostgreSQL may show one lock twice (fast path and main table); a CASE, because of a bare IS NULL the
                 -- planner expects next to no row
                 WHERE CASE WHEN o.unchanged IS NULL THEN true END
                 ORDER BY h.hk, h.granted) f) y) r),
  claimants AS MATERIALIZED (
    SELECT c.pid, c.prepared, coalesce(s.user_name, c.prepared_by, '') AS user_name,
           CASE WHEN strpos(s.application_name, 'tenant=') > 0 THEN s.application_name ELSE '' END AS tag
      FROM (SELECT DISTINCT coalesce(t.pid, 0) AS pid, CASE WHEN t.pid IS NULL THEN t.virtualtransaction ELSE '' END AS prepared,
                   t.prepared_by
              FROM timed t WHERE t.replaces IS NULL) c
      LEFT JOIN s ON s.pid = c.pid),
  -- hundreds of sessions are a few logins: asked once for each
  tenants AS MATERIALIZED (
    SELECT x.user_name, x.tag, lock_engine.tenant_of(nullif(x.user_name, ''), nullif(x.tag, '')) AS tenant_hk
      FROM (SELECT DISTINCT c.user_name, c.tag FROM claimants c) x),
  claims AS MATERIALIZED (
    SELECT c.pid, c.prepared, x.tenant_hk FROM claimants c JOIN tenants x ON x.user_name = c.user_name AND x.tag = c.tag),
  -- one look-up for each relation, whatever the size of pg_class
  relation AS MATERIALIZED (
    SELECT d.rel_oid, d.nspname::varchar(100) AS nspname, (d.nspname || '.' || d.relname)::varchar(200) AS name,
           CASE WHEN d.relkind NOT IN ('i', 'I') THEN d.relname::varchar(100) END AS table_name,
           CASE WHEN d.relkind IN ('i', 'I') THEN d.relname::varchar(100) END AS index_name,
           CASE d.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'i' THEN 'index'
             WHEN 'I' THEN 'partitioned index' WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
             WHEN 't' THEN 'toast table' WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'composite type' END::varchar(50) AS kind
      FROM (
        SELECT r.rel_oid, (SELECT CASE WHEN v_utf8 THEN c.relname::text ELSE lock_catalog.readable(c.relname::text) END FROM pg_class c WHERE c.oid = r.rel_oid) AS relname,
               (SELECT c.relkind FROM pg_class c WHERE c.oid = r.rel_oid) AS relkind,
               (SELECT CASE WHEN v_utf8 THEN n.nspname::text ELSE lock_catalog.readable(n.nspname::text) END FROM pg_namespace n
                 WHERE n.oid = (SELECT c.relnamespace FROM pg_class c WHERE c.oid = r.rel_oid)) AS nspname
          FROM (SELECT DISTINCT t.rel_oid FROM timed t WHERE t.rel_database IN (0, v_current_database)) r
        OFFSET 0) d),
  -- a thousand waiters often run one statement
  text_print AS MATERIALIZED (
    SELECT x.query, lock_engine.query_fingerprint(x.query) AS fingerprint
      FROM (SELECT DISTINCT s.query FROM timed t JOIN s ON s.pid = t.pid WHERE t.matters AND s.query IS NOT NULL) x),
  door AS MATERIALIZED (
    SELECT a.target_pid, a.target_backend_start, true AS terminated
      FROM lock_admin.action_log a
     WHERE a.step = 'signal' AND a.action = 'terminate' AND a.logged_at BETWEEN p_now - interval '10 minutes' AND p_now + interval '1 second'
     GROUP BY a.target_pid, a.target_backend_start),
  gone AS MATERIALIZED (
    SELECT o.* FROM open_rows o WHERE o.unchanged IS NULL AND o.lock_pid <> ALL (p_apart)),
  endings AS MATERIALIZED (
    SELECT e.*, e.over OR e.other_since IS NOT NULL AS wait_over,
           least(e.read_at, e.other_since, CASE WHEN e.how = 'server restarted' THEN v_restarted END) AS not_seen_at,
           CASE WHEN e.other_since IS NOT NULL THEN 'unknown'
                WHEN e.how = 'granted' AND NOT lock_engine.fails_as_a_whole((SELECT q.query_text FROM lock_monitoring.lock_activity_s q
                                                                              WHERE q.ctid = e.place AND q.tableoid = e.home)) THEN 'unknown'
                ELSE e.how END AS ended_how
      FROM (
        SELECT o.home, o.place, s.pid IS NULL AS session_gone, greatest(p_now, o.load_date + interval '1 microsecond') AS changes_at, clock_timestamp() AS read_at,
               -- of rows that were set aside nobody knows when they were compared last
               CASE WHEN p_unseen_since IS NOT NULL AND p_apart <> '{}' THEN o.load_date ELSE greatest(o.load_date, v_compared) END AS seen_at,
               f.hk IS NULL OR f.granted OR NOT f.proven OR o.wait_start_is_bound AND s.query_start > o.load_date + c_looking AS over,
               -- the same lock, by the same statement, wanted since another moment
               CASE WHEN NOT o.lock_granted AND f.proven AND NOT f.granted AND f.wait_start IS NOT NULL AND NOT o.wait_start_is_bound
                         AND f.since <> o.wait_start THEN f.since END AS other_since,
               CASE WHEN p_unseen_since IS NOT NULL AND (f.hk IS NULL OR f.just_granted OR NOT f.proven)
                    THEN greatest(p_unseen_since, o.load_date + interval '1 microsecond') END AS last_sight,
               CASE
                 -- its transaction is the one in which it waited
                 WHEN f.just_granted AND f.proven
                   THEN CASE WHEN EXISTS (SELECT 1 FROM lock_monitoring.lock_activity_s q
                                           WHERE q.ctid = o.place AND q.tableoid = o.home AND q.lock_virtualtransaction = f.virtualtransaction)
                             THEN 'granted' ELSE 'unknown' END
                 WHEN f.proven THEN CASE WHEN NOT o.lock_granted AND o.wait_start_is_bound AND s.query_start > o.load_date + c_looking THEN 'unknown' END
                 WHEN o.load_date < v_restarted THEN 'server restarted'
                 WHEN s.pid IS NULL AND d.target_pid IS NOT NULL AND o.lock_granted THEN 'terminated'
                 WHEN p_unseen_since IS NOT NULL THEN 'unknown'
                 WHEN o.lock_pid = 0 THEN 'released'
                 -- a worker ends with its part of the query, and whether it got its lock before nobody knows: the session lives
                 WHEN s.pid IS NULL AND o.lock_group IS NOT NULL
                      AND EXISTS (SELECT FROM s l WHERE l.pid = o.lock_group AND l.backend_start <= o.backend_start)
                   THEN CASE WHEN o.lock_granted THEN 'released' ELSE 'unknown' END
                 WHEN o.lock_granted THEN CASE WHEN s.pid IS NULL THEN 'session gone' ELSE 'released' END
                 -- asked once, and only where some wait is gone; before 'granted': PL/pgSQL may have caught the error
                 WHEN o.lock_activity_hk IN (SELECT n.hk FROM lock_engine.waits_not_served(NULL) AS n (hk))
                   THEN CASE WHEN s.pid IS NOT NULL THEN 'cancelled' WHEN d.target_pid IS NOT NULL THEN 'terminated' ELSE 'session gone' END
                 -- the statement that waited has ended without failing its transaction, or waits for the next lock already. That it was active
                 -- proves nothing: its error, or its session's end, may have come between the reading of the sessions and that of the locks
                 WHEN s.query_start = o.query_start
                      AND (s.state = 'idle in transaction' OR s.state = 'active' AND o.lock_pid IN (SELECT k.pid FROM kept k WHERE NOT k.granted))
                   THEN 'granted'
                 ELSE 'unknown' END AS how
          FROM gone o
          LEFT JOIN timed f ON f.hk = o.lock_activity_hk
          LEFT JOIN s ON s.pid = o.lock_pid AND s.backend_start = o.backend_start
          LEFT JOIN door d ON d.target_pid = o.lock_pid AND d.target_backend_start = o.backend_start
        OFFSET 0) e),
  ended AS (
    UPDATE lock_monitoring.lock_activity_s o
       SET load_end_date = coalesce(e.last_sight, e.changes_at), resolution_action = e.ended_how,
           resolution_timestamp = CASE WHEN e.ended_how IS NOT NULL THEN coalesce(e.last_sight, e.changes_at) END,
           ended_by = CASE WHEN e.last_sight IS NOT NULL THEN CASE WHEN e.how = 'server restarted' THEN v_restarted ELSE e.changes_at END END,
           last_seen_at = CASE WHEN NOT o.lock_granted AND e.wait_over AND e.seen_at <= e.not_seen_at THEN e.seen_at END,
           not_seen_at = CASE WHEN NOT o.lock_granted AND e.wait_over AND e.seen_at <= e.not_seen_at THEN e.not_seen_at END
      FROM endings e
     -- by place: the rows were found in this very statement, and finding them again would read all open ones
     WHERE o.ctid = ANY (ARRAY(SELECT x.place FROM endings x)) AND o.ctid = e.place AND o.tableoid = e.home
       AND coalesce(o.load_end_date, 'infinity') = 'infinity'
    RETURNING o.lock_activity_hk, o.load_date, o.lock_pid, o.session_id, e.session_gone, o.lock_mode, o.object_key, o.wait_start,
              o.wait_start_is_bound, o.last_seen_at, o.not_seen_at),
  -- what the log may say of it is looked for by lock_engine.settle_endings
  left_to_the_log AS (
    INSERT INTO lock_engine.wait_end (lock_activity_hk, load_date, lock_pid, session_id, session_gone, lock_mode, object_key, wait_start,
                                      wait_start_is_bound, last_seen_at, not_seen_at)
    SELECT d.lock_activity_hk, d.load_date, d.lock_pid, d.session_id, d.session_gone, d.lock_mode, d.object_key, d.wait_start,
           d.wait_start_is_bound, d.last_seen_at, d.not_seen_at
      FROM ended d WHERE d.not_seen_at IS NOT NULL AND d.session_id IS NOT NULL),
  hubs AS (
    INSERT INTO lock_monitoring.lock_activity_h (lock_activity_hk, lock_activity_bk, tenant_hk, load_date, record_source)
    SELECT t.hk, t.bk, c.tenant_hk, p_now, 'pg_locks'
      FROM timed t
      JOIN claims c ON c.pid = coalesce(t.pid, 0)
                   AND c.prepared = CASE WHEN t.pid IS NULL THEN t.virtualtransaction ELSE '' END
     -- a look-up each: ON CONFLICT would search both unique indexes for every row; none where there is nothing to find
     WHERE t.replaces IS NULL
       AND CASE WHEN EXISTS (SELECT 1 FROM lock_monitoring.lock_activity_h)
                THEN (SELECT h.tenant_hk FROM lock_monitoring.lock_activity_h h WHERE h.lock_activity_hk = t.hk) END IS NULL
    RETURNING 1),
  satellites AS (
    INSERT INTO lock_monitoring.lock_activity_s (
      lock_activity_hk, load_date, load_end_date, hash_diff, lock_type, lock_mode, relation_name, relation_type,
      database_name, schema_name, table_name, index_name, lock_pid, session_id, user_name, application_name, client_addr,
      query_text, query_start, lock_acquired_time, lock_duration_seconds, wait_event_type, wait_event, lock_granted,
      lock_fastpath, lock_virtualtransaction, lock_transactionid, blocking_pid, blocked_by_count, blocking_count,
      lock_priority, lock_impact_score, record_source, backend_start, wait_start, wait_start_is_bound,
      held_since_at_least, blocking_nodes, soft_blocking_nodes, root_nodes, run_head, queue_position, database_oid,
      relation_oid, row_page, row_tuple, object_key, object_name, session_state, transaction_start, query_truncated,
      query_id, query_fingerprint, fingerprint, refresh_at, lock_group, beside, tenant_claim)
    SELECT t.hk, greatest(p_now, t.replaces + interval '1 microsecond'), NULL, int8send(t.print) || int4send(t.step),
           t.lock_type, t.lock_mode, coalesce(c.name, g.object_name::varchar(200)), c.kind,
           coalesce(s.stored_database, t.prepared_in), c.nspname, c.table_name, c.index_name,
           coalesce(t.pid, 0), s.session_id, coalesce(s.stored_user, t.prepared_by), s.stored_application, s.client_addr,
           s.query, s.query_start, CASE WHEN t.just_granted THEN p_now END, floor(t.seconds_so_far)::integer,
           s.wait_event_type, s.wait_event, t.granted, t.fastpath, t.virtualtransaction, t.transactionid,
           CASE WHEN NOT t.granted THEN greatest(coalesce(g.hard_blockers[1], g.soft_blockers[array_upper(g.soft_blockers, 1)]), 0) END,
           CASE WHEN NOT t.granted THEN coalesce(cardinality(g.hard_blockers), 0) + coalesce(cardinality(g.soft_blockers), 0) ELSE 0 END,
           coalesce(t.waiters, 0),
           CASE t.mode_bit WHEN 2 THEN 1 WHEN 4 THEN 2 WHEN 8 THEN 3 WHEN 16 THEN 4 WHEN 32 THEN 5 WHEN 64 THEN 6
             WHEN 128 THEN 7 WHEN 256 THEN 8 ELSE 0 END,
           round(CASE WHEN t.granted THEN t.seconds ELSE t.seconds_so_far::numeric END, 3),
           'pg_locks', s.backend_start, CASE WHEN NOT t.granted THEN t.since END,
           CASE WHEN NOT t.granted THEN coalesce(g.wait_start_is_bound, t.wait_start IS NULL) END,
           CASE WHEN t.granted THEN t.since END, g.hard_blockers, g.soft_blockers, g.roots, g.run_head, g.run_position,
           t.rel_database, t.rel_oid, coalesce(g.page, t.page), coalesce(g.tuple, t.tuple), t.object_key, g.object_name,
           s.state, s.xact_start, s.query_truncated, s.query_id, CASE WHEN t.matters THEN x.fingerprint END, t.print,
           t.next_refresh, CASE WHEN s.node <> s.pid THEN s.node END,
           CASE WHEN NOT t.granted THEN coalesce(g.beside, CASE WHEN t.was_beside IS NOT NULL THEN 'was' END) END,
           CASE WHEN t.matters THEN lock_engine.session_claim(v_claims, s.stored_application, s.stored_user, s.stored_database, c.nspname) END
      FROM timed t
      LEFT JOIN s ON s.pid = t.pid
      LEFT JOIN w g ON g.node = CASE WHEN NOT t.granted THEN s.node END AND coalesce(g.process, t.pid) = t.pid
      LEFT JOIN text_print x ON x.query = CASE WHEN t.matters THEN s.query END
      LEFT JOIN relation c ON c.rel_oid = t.rel_oid AND t.rel_database IN (0, v_current_database)
     WHERE (SELECT count(*) FROM ended) >= 0
    RETURNING 1)
  SELECT n.locks, n.blocking,
         (SELECT count(*) FROM g WHERE g.is_waiting
             AND g.roots && ARRAY(SELECT r.node FROM g r WHERE r.severity = 'CRITICAL'))::integer,
         (SELECT count(*) FROM g WHERE g.is_waiting)::integer,
         ((SELECT count(*) FROM ended) + (SELECT count(*) FROM hubs) + (SELECT count(*) FROM satellites))::integer,
         least((SELECT min(o.refresh_at) FROM open_rows o WHERE o.unchanged IS NOT NULL), (SELECT min(t.next_refresh) FROM timed t)),
         ARRAY(SELECT g::lock_catalog.graph FROM g WHERE g.blocked_total > 0)
    INTO locks, blocking, critical, waiting, written, refresh_at, blockers
    FROM (SELECT count(*)::integer AS locks, (count(*) FILTER (WHERE k.waiters > 0))::integer AS blocking FROM kept k) n;
END
$$;
COMMENT ON FUNCTION lock_engine.store_locks(timestamptz, interval, boolean, integer[], boolean, timestamptz, bigint[]) IS
  'Stores what changed among the locks since the last cycle: closes what ended (and how), opens what is new. Called by '
  'lock_engine.store_look under the cycle''s advisory lock only. blockers: the nodes of the graph that block somebody. '
  'p_apart: sessions whose rows are left as they are (0: prepared transactions).';
