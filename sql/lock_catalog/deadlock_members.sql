-- The members of one deadlock cycle in words, in the order of the cycle (each waits for the next). NULL if one of them
-- no longer waits for what it waited for when the cycle was found: then it was none.
CREATE OR REPLACE FUNCTION lock_catalog.deadlock_members(p_cycle integer[], p_wait_pids integer[], p_wait_objects bigint[])
RETURNS jsonb
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
  v_members jsonb;
  v_utf8 constant boolean := getdatabaseencoding() = 'UTF8';
  v_database oid := (SELECT d.oid FROM pg_database d WHERE d.datname = current_database());
BEGIN
  PERFORM pg_stat_clear_snapshot();
  WITH s AS MATERIALIZED (
    SELECT x.*, x.lock_group AS node FROM lock_catalog.sessions x WHERE x.lock_group = ANY (p_cycle)),
  l AS MATERIALIZED (
    SELECT k.*, s.node FROM lock_catalog.locks k JOIN s ON s.pid = k.pid WHERE k.mode_bit <> 0),
  relation AS (
    SELECT k.oid, k.relkind, CASE WHEN v_utf8 THEN k.relname::text ELSE lock_catalog.readable(k.relname::text) END AS relname,
           CASE WHEN v_utf8 THEN n.nspname::text ELSE lock_catalog.readable(n.nspname::text) END AS nspname
      FROM pg_class k JOIN pg_namespace n ON n.oid = k.relnamespace
     WHERE k.oid IN (SELECT l.relation_oid FROM l)),
  w AS (
    SELECT DISTINCT ON (l.node) l.*
      FROM l JOIN unnest(p_wait_pids, p_wait_objects) b(pid, object_hash) ON b.pid = l.pid AND b.object_hash = l.object_hash
      JOIN unnest(p_cycle) WITH ORDINALITY c(node, n) ON c.node = l.node
     WHERE NOT l.granted
     -- of several waiting workers the one that waits for the next member
     ORDER BY l.node, EXISTS (SELECT FROM l h WHERE h.object_hash = l.object_hash AND h.node = coalesce(p_cycle[c.n + 1], p_cycle[1])) DESC, l.pid)
  SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
           'pid', c.node, 'process', w.pid,
           'pids', (SELECT jsonb_agg(x.pid ORDER BY x.pid) FROM s x WHERE x.node = c.node),
           'backend_start', s.backend_start, 'user', s.user_name, 'database', s.database_name,
           'application', s.application_name, 'client', host(s.client_addr), 'query', s.query,
           'query_truncated', s.query_truncated, 'query_start', s.query_start, 'xact_start', s.xact_start,
           'backend_xid', s.backend_xid, 'wait_start', w.wait_start,
           'wanted_mode', w.lock_mode, 'lock_type', w.lock_type,
           'wanted', coalesce(r.name, n.name), 'object_key', w.object_key,
           'table', coalesce(r.table_name, n.table_name), 'relation_oid', coalesce(r.relation_oid, nullif(w.relation_oid, 0)),
           'database_oid', w.database_oid, 'page', coalesce(r.page, w.page), 'tuple', coalesce(r.tuple, w.tuple),
           'row_mode', CASE r.lock_mode WHEN 'AccessShareLock' THEN 'FOR KEY SHARE' WHEN 'RowShareLock' THEN 'FOR SHARE'
                         WHEN 'ExclusiveLock' THEN 'FOR NO KEY UPDATE' WHEN 'AccessExclusiveLock' THEN 'FOR UPDATE' END,
           'transactionid', w.transactionid, 'blocked_by', b.node,
           'blocker_holds', h.modes, 'behind_in_queue', CASE WHEN h.modes IS NULL THEN true END)) ORDER BY c.n)
    INTO v_members
    FROM unnest(p_cycle) WITH ORDINALITY c(node, n)
    JOIN s ON s.pid = c.node
    JOIN w ON w.node = c.node
    CROSS JOIN LATERAL (SELECT coalesce(p_cycle[c.n + 1], p_cycle[1]) AS node) b
    CROSS JOIN LATERAL (
      SELECT jsonb_agg(DISTINCT h.lock_mode) AS modes FROM l h
       WHERE h.granted AND h.node = b.node AND h.object_hash = w.object_hash AND h.mode_bit & w.conflict_bits <> 0) h
    LEFT JOIN LATERAL (
      SELECT k.nspname || '.' || k.relname AS table_name,
             CASE WHEN w.lock_type = 'object' THEN lock_catalog.described_object(w.database_oid, w.classid, w.objid, w.objsubid)
               ELSE lock_catalog.object_name(w.lock_type, k.nspname, k.relname, k.relkind, w.relation_oid, w.page, w.tuple,
                 w.virtualxid, w.transactionid, w.classid, w.objid, w.objsubid) END AS name
        FROM (SELECT 1) one
        LEFT JOIN relation k ON k.oid = w.relation_oid AND w.database_oid IN (0, v_database)) n ON true
    LEFT JOIN LATERAL (
      -- the row behind a wait for a transaction: the waiter holds the row's tuple lock, if it is first in its queue
      SELECT t.relation_oid, t.page, t.tuple, t.lock_mode, k.nspname || '.' || k.relname AS table_name,
             lock_catalog.object_name(w.lock_type, k.nspname, k.relname, k.relkind, t.relation_oid, t.page, t.tuple,
               NULL, w.transactionid, NULL, NULL, NULL) AS name
        FROM l t
        LEFT JOIN relation k ON k.oid = t.relation_oid AND t.database_oid IN (0, v_database)
       WHERE w.lock_type = 'transactionid' AND t.pid = w.pid AND t.granted AND t.lock_type = 'tuple'
       ORDER BY t.relation_oid, t.page, t.tuple LIMIT 1) r ON true;
  IF v_members IS NULL OR jsonb_array_length(v_members) <> cardinality(p_cycle) THEN
    RETURN NULL;
  END IF;
  RETURN v_members;
END
$$;
COMMENT ON FUNCTION lock_catalog.deadlock_members(integer[], integer[], bigint[]) IS
  'Who is in a deadlock cycle: one object a member with session, statement, lock wanted, object and row, and what the next '
  'member holds of it. Keys that are not known are absent.';
