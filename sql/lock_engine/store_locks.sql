-- Compares the locks that exist with the open rows of lock_activity_s and stores the difference in one statement.
-- An open row stays while its fingerprint (what PostgreSQL shows of the lock, plus who blocks it) is the same and its
-- duration has not reached the next step. Of a queue of like waiters only the head carries its blockers in its
-- fingerprint, so that one waiter leaving does not rewrite all that stand behind it (lock_engine.waits_for_at rebuilds
-- the rest).
CREATE OR REPLACE FUNCTION lock_engine.store_locks(
  p_now timestamptz, p_min_age interval, p_everything boolean, p_own_pids integer[], p_graph lock_catalog.graph[],
  OUT locks integer, OUT blocking integer, OUT critical integer, OUT written integer, OUT refresh_at timestamptz)
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
SET work_mem = '32MB'
AS $$
#variable_conflict use_column
DECLARE
  v_steps double precision[] := lock_engine.duration_steps();
  v_restarted timestamptz := pg_postmaster_start_time();
  v_anyone_waits boolean := cardinality(p_graph) > 0;
  v_current_database oid := (SELECT d.oid FROM pg_database d WHERE d.datname = current_database());
BEGIN
  WITH
  s AS MATERIALIZED (
    SELECT x.*, coalesce(x.leader_pid, x.pid)::bigint AS node FROM lock_catalog.sessions x
     WHERE x.pid <> ALL (p_own_pids)),
  g AS MATERIALIZED (SELECT n.* FROM unnest(p_graph) n),
  wanted AS MATERIALIZED (
    SELECT k.object_hash, k.mode_bit, count(*) AS waiters, min(coalesce(k.wait_start, s.query_start)) AS since
      FROM lock_catalog.locks k JOIN s ON s.pid = k.pid
     WHERE NOT k.granted AND v_anyone_waits
     GROUP BY k.object_hash, k.mode_bit),
  contended AS MATERIALIZED (
    SELECT w.object_hash, bit_or(w.mode_bit) AS mode_bits FROM wanted w GROUP BY w.object_hash),
  prepared AS (
    SELECT k.virtualtransaction, k.transactionid, p.prepared, p.owner::text AS user_name, p.database::text AS database_name
      FROM lock_catalog.locks k JOIN pg_prepared_xacts p ON p.transaction::text::bigint = k.transactionid
     WHERE k.pid IS NULL AND k.lock_type = 'transactionid'),
  kept AS MATERIALIZED (
    SELECT k.lock_type, k.database_oid, k.relation_oid, k.page, k.tuple, k.virtualxid, k.transactionid, k.classid, k.objid,
           k.objsubid, k.virtualtransaction, k.pid, k.lock_mode, k.granted, k.fastpath, k.wait_start, k.mode_bit,
           k.conflict_bits, k.row_hash, CASE WHEN v_anyone_waits THEN k.object_hash END AS object_hash,
           s.node, s.backend_start, (coalesce(extract(epoch FROM s.backend_start), 0) * 1000000)::bigint AS session_epoch,
           coalesce(c.mode_bits & k.conflict_bits <> 0 AND k.granted, false) AS blocks, px.prepared,
           CASE WHEN g.run_position = 1 THEN hashtextextended(concat_ws('|', g.hard_blockers, g.soft_blockers, g.roots), 0) END
             AS blockers_hash
      FROM lock_catalog.locks k
      LEFT JOIN s ON s.pid = k.pid
      LEFT JOIN contended c ON c.object_hash = CASE WHEN v_anyone_waits THEN k.object_hash END
      LEFT JOIN prepared px ON k.pid IS NULL AND px.virtualtransaction = k.virtualtransaction
      LEFT JOIN g ON NOT k.granted AND g.node = s.node AND g.is_waiting
     WHERE (s.pid IS NOT NULL OR (k.pid IS NULL AND px.transactionid IS NOT NULL))
       AND (p_everything OR NOT k.granted OR c.mode_bits & k.conflict_bits <> 0
            OR coalesce(s.xact_start, s.backend_start, px.prepared) < p_now - p_min_age)),
  behind AS MATERIALIZED (
    SELECT k.object_hash, k.mode_bit, sum(w.waiters)::integer AS waiters,
           sum(w.waiters * extract(epoch FROM p_now - w.since))::numeric AS seconds
      FROM (SELECT DISTINCT k.object_hash, k.mode_bit, k.conflict_bits FROM kept k WHERE k.blocks) k
      JOIN wanted w ON w.object_hash = k.object_hash AND w.mode_bit & k.conflict_bits <> 0
     GROUP BY k.object_hash, k.mode_bit),
  now_held AS MATERIALIZED (
    SELECT k.*, b.waiters, b.seconds,
           k.row_hash # coalesce(k.blockers_hash, 0) # (coalesce(b.waiters, 0)::bigint * 1000003)
             # k.session_epoch AS print
      FROM kept k LEFT JOIN behind b ON k.blocks AND b.object_hash = k.object_hash AND b.mode_bit = k.mode_bit),
  open_rows AS MATERIALIZED (
    SELECT o.lock_activity_hk, o.load_date, o.fingerprint, o.refresh_at, o.lock_granted, o.lock_pid, o.backend_start,
           o.query_start, o.transaction_start, o.held_since_at_least
      FROM lock_monitoring.lock_activity_s o WHERE o.load_end_date IS NULL),
  unchanged AS MATERIALIZED (
    SELECT o.lock_activity_hk, o.refresh_at, n.print
      FROM open_rows o JOIN now_held n ON n.print = o.fingerprint WHERE o.refresh_at > p_now),
  -- what is new or changed, with its key
  fresh AS MATERIALIZED (
    SELECT DISTINCT ON (f.hk) f.*, o.load_date AS replaces, o.lock_granted AS was_granted, o.held_since_at_least AS was_held,
           o.load_date IS NOT NULL AND NOT o.lock_granted AND f.granted AS just_granted
      FROM (SELECT b.*, sha256(convert_to(b.bk, 'UTF8')) AS hk
              FROM (SELECT k.*, concat_ws('|', coalesce(k.pid, 0),
                             CASE WHEN k.pid IS NULL THEN k.virtualtransaction ELSE k.session_epoch::text END,
                             k.object_key, k.lock_mode) AS bk
                      FROM (SELECT n.*,
                                   -- as in lock_catalog.locks, here only for what is written: it is the dearest column
                                   CASE n.lock_type WHEN 'transactionid' THEN 'transactionid:' || n.transactionid
                                     WHEN 'virtualxid' THEN 'virtualxid:' || n.virtualxid
                                     ELSE concat_ws(':', n.lock_type, n.database_oid, n.relation_oid, n.page, n.tuple,
                                                    n.classid, n.objid, n.objsubid, n.transactionid) END AS object_key
                              FROM now_held n
                             WHERE NOT EXISTS (SELECT 1 FROM unchanged u WHERE u.print = n.print)) k) b) f
      LEFT JOIN open_rows o ON o.lock_activity_hk = f.hk
     -- PostgreSQL may show one lock twice (fast path and main table)
     WHERE NOT EXISTS (SELECT 1 FROM unchanged u WHERE u.lock_activity_hk = f.hk)
     ORDER BY f.hk, f.granted),
  claims AS MATERIALIZED (
    SELECT c.user_name, c.application_name, lock_engine.tenant_of(c.user_name, c.application_name) AS tenant_hk
      FROM (SELECT DISTINCT coalesce(s.user_name, px.user_name, '') AS user_name, coalesce(s.application_name, '') AS application_name
              FROM fresh f LEFT JOIN s ON s.pid = f.pid
              LEFT JOIN prepared px ON f.pid IS NULL AND px.virtualtransaction = f.virtualtransaction
             WHERE f.replaces IS NULL) c),
  rows_to_write AS MATERIALIZED (
    SELECT f.*, s.user_name, s.database_name, s.application_name, s.client_addr, s.state, s.query, s.query_start,
           s.xact_start, s.query_truncated, s.query_id, s.wait_event_type, s.wait_event,
           px.user_name AS px_user, px.database_name AS px_database,
           coalesce(g.relation_oid, f.relation_oid) AS rel_oid, coalesce(g.database_oid, f.database_oid) AS rel_database,
           coalesce(g.page, f.page) AS row_page, coalesce(g.tuple, f.tuple) AS row_tuple, g.object_name,
           g.hard_blockers, g.soft_blockers, g.roots, g.run_head, g.run_position,
           g.wait_start AS began, g.wait_start_is_bound AS began_is_bound,
           CASE WHEN NOT f.granted THEN coalesce(g.wait_start, f.wait_start, s.query_start)
                WHEN f.just_granted OR f.replaces IS NULL THEN coalesce(f.prepared, p_now)
                ELSE coalesce(f.was_held, p_now) END AS since,
           NOT f.granted OR f.blocks AS matters
      FROM fresh f
      LEFT JOIN s ON s.pid = f.pid
      LEFT JOIN prepared px ON f.pid IS NULL AND px.virtualtransaction = f.virtualtransaction
      LEFT JOIN g ON NOT f.granted AND g.node = f.node AND g.is_waiting),
  timed AS MATERIALIZED (
    SELECT r.*, extract(epoch FROM p_now - r.since)::double precision AS seconds_so_far,
           -- locks that neither wait nor block are refreshed from one minute on
           r.since + make_interval(secs => CASE WHEN r.matters
             THEN v_steps[width_bucket(greatest(extract(epoch FROM p_now - r.since), 0)::double precision, v_steps) + 1]
             ELSE v_steps[width_bucket(greatest(extract(epoch FROM p_now - r.since), 31)::double precision, v_steps) + 1] END)
             AS next_refresh
      FROM rows_to_write r),
  -- one look-up for each relation, whatever the size of pg_class
  relation AS MATERIALIZED (
    SELECT r.rel_oid, (SELECT c.relname::text FROM pg_class c WHERE c.oid = r.rel_oid) AS relname,
           (SELECT c.relkind FROM pg_class c WHERE c.oid = r.rel_oid) AS relkind,
           (SELECT n.nspname::text FROM pg_namespace n
             WHERE n.oid = (SELECT c.relnamespace FROM pg_class c WHERE c.oid = r.rel_oid)) AS nspname
      FROM (SELECT DISTINCT t.rel_oid FROM timed t WHERE t.rel_database IN (0, v_current_database)) r),
  door AS MATERIALIZED (
    SELECT a.target_pid, a.target_backend_start, array_agg(a.action) AS actions
      FROM lock_admin.action_log a
     WHERE a.step = 'signal' AND a.logged_at > p_now - interval '10 minutes'
     GROUP BY a.target_pid, a.target_backend_start),
  gone AS MATERIALIZED (
    SELECT o.* FROM open_rows o
     WHERE NOT EXISTS (SELECT 1 FROM unchanged u WHERE u.lock_activity_hk = o.lock_activity_hk)),
  endings AS MATERIALIZED (
    SELECT o.lock_activity_hk, o.load_date,
           CASE
             WHEN f.hk IS NOT NULL AND f.just_granted THEN 'granted'
             WHEN f.hk IS NOT NULL THEN NULL
             WHEN o.load_date < v_restarted THEN 'server restarted'
             WHEN o.lock_pid = 0 THEN 'released'
             WHEN s.pid IS NULL THEN CASE WHEN 'terminate' = ANY (d.actions) THEN 'terminated' ELSE 'session gone' END
             WHEN o.lock_granted THEN 'released'
             WHEN s.state = 'idle in transaction (aborted)' OR 'cancel' = ANY (d.actions) THEN 'cancelled'
             -- the statement that waited goes on, or has ended without failing its transaction
             WHEN s.query_start = o.query_start AND s.state IN ('active', 'idle in transaction') THEN 'granted'
             ELSE 'unknown' END AS how
      FROM gone o
      LEFT JOIN fresh f ON f.hk = o.lock_activity_hk
      LEFT JOIN s ON s.pid = o.lock_pid AND s.backend_start = o.backend_start
      LEFT JOIN door d ON d.target_pid = o.lock_pid AND d.target_backend_start = o.backend_start),
  ended AS (
    UPDATE lock_monitoring.lock_activity_s o
       SET load_end_date = p_now, resolution_action = e.how,
           resolution_timestamp = CASE WHEN e.how IS NOT NULL THEN p_now END
      FROM endings e
     WHERE o.lock_activity_hk = e.lock_activity_hk AND o.load_date = e.load_date AND o.load_end_date IS NULL
    RETURNING 1),
  hubs AS (
    INSERT INTO lock_monitoring.lock_activity_h (lock_activity_hk, lock_activity_bk, tenant_hk, load_date, record_source)
    SELECT t.hk, t.bk, c.tenant_hk, p_now, 'pg_locks'
      FROM timed t JOIN claims c ON c.user_name = coalesce(t.user_name, t.px_user, '')
                              AND c.application_name = coalesce(t.application_name, '')
     WHERE t.replaces IS NULL
    ON CONFLICT DO NOTHING
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
      query_id, query_fingerprint, fingerprint, refresh_at)
    SELECT t.hk, p_now, NULL,
           sha256(int8send(t.print) || int4send(width_bucket(greatest(t.seconds_so_far, 0), v_steps))),
           t.lock_type, t.lock_mode, left(coalesce(c.nspname || '.' || c.relname, t.object_name), 200),
           CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'i' THEN 'index'
             WHEN 'I' THEN 'partitioned index' WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
             WHEN 't' THEN 'toast table' WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'composite type' END,
           left(coalesce(t.database_name, t.px_database), 100), left(c.nspname, 100),
           CASE WHEN c.relkind NOT IN ('i', 'I') THEN left(c.relname, 100) END,
           CASE WHEN c.relkind IN ('i', 'I') THEN left(c.relname, 100) END,
           coalesce(t.pid, 0),
           to_hex(extract(epoch FROM t.backend_start)::bigint) || '.' || to_hex(t.pid),
           left(coalesce(t.user_name, t.px_user), 100), left(t.application_name, 200), t.client_addr,
           t.query, t.query_start, CASE WHEN t.just_granted THEN p_now END, floor(greatest(t.seconds_so_far, 0))::integer,
           t.wait_event_type, t.wait_event, t.granted, t.fastpath, t.virtualtransaction, t.transactionid,
           CASE WHEN NOT t.granted THEN greatest(coalesce(t.hard_blockers[1], t.soft_blockers[array_upper(t.soft_blockers, 1)]), 0) END,
           CASE WHEN NOT t.granted THEN coalesce(cardinality(t.hard_blockers), 0) + coalesce(cardinality(t.soft_blockers), 0) ELSE 0 END,
           coalesce(t.waiters, 0),
           CASE t.mode_bit WHEN 2 THEN 1 WHEN 4 THEN 2 WHEN 8 THEN 3 WHEN 16 THEN 4 WHEN 32 THEN 5 WHEN 64 THEN 6
             WHEN 128 THEN 7 WHEN 256 THEN 8 ELSE 0 END,
           round(CASE WHEN t.granted THEN t.seconds ELSE t.seconds_so_far::numeric END, 3),
           'pg_locks', t.backend_start, CASE WHEN NOT t.granted THEN t.since END,
           CASE WHEN NOT t.granted THEN coalesce(t.began_is_bound, t.wait_start IS NULL) END,
           CASE WHEN t.granted THEN t.since END, t.hard_blockers, t.soft_blockers, t.roots, t.run_head, t.run_position,
           t.rel_database, t.rel_oid, t.row_page, t.row_tuple, t.object_key, t.object_name, t.state, t.xact_start,
           t.query_truncated, t.query_id,
           CASE WHEN t.matters THEN lock_engine.query_fingerprint(t.query) END, t.print, t.next_refresh
      FROM timed t
      LEFT JOIN relation c ON c.rel_oid = t.rel_oid AND t.rel_database IN (0, v_current_database)
     WHERE (SELECT count(*) FROM ended) >= 0
    RETURNING 1)
  SELECT (SELECT count(*) FROM now_held)::integer,
         (SELECT count(*) FROM now_held n WHERE n.waiters > 0)::integer,
         (SELECT count(*) FROM g WHERE g.is_waiting
             AND EXISTS (SELECT 1 FROM g r WHERE r.severity = 'CRITICAL' AND r.node = ANY (g.roots)))::integer,
         ((SELECT count(*) FROM ended) + (SELECT count(*) FROM hubs) + (SELECT count(*) FROM satellites))::integer,
         least((SELECT min(u.refresh_at) FROM unchanged u), (SELECT min(t.next_refresh) FROM timed t))
    INTO locks, blocking, critical, written, refresh_at;
END
$$;
COMMENT ON FUNCTION lock_engine.store_locks(timestamptz, interval, boolean, integer[], lock_catalog.graph[]) IS
  'Stores what changed among the locks since the last cycle: closes what ended (and how), opens what is new. Called by '
  'lock_engine.run_cycle under the cycle''s advisory lock only.';
