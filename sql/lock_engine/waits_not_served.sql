-- Which of the open waits ended without the lock: their process waits no more, and what they waited for is still in the way. A
-- session that stood in the way at the last sight (it held a conflicting lock on the object, or was queued ahead for one), has been in the
-- same transaction since, and still holds or wants that lock there, has let nobody pass. Only PostgreSQL's facts count, and
-- the state of the session that waited is none: "idle in transaction (aborted)" is a statement that failed in its wait as well
-- as one that got the lock and failed afterwards (40001, 23505, 23503 ...).
-- Read apart from the snapshot of the cycle, and after it: what is in the way now was in the way then. Sessions are read before locks, so
-- the transaction in the way may have ended in between and the next one taken the same lock: it is the same one if the vault has
-- it with that lock already. p_seen: a look that was kept
-- (store_kept.sql), instead of the present.
CREATE OR REPLACE FUNCTION lock_engine.waits_not_served(p_seen jsonb DEFAULT NULL)
RETURNS SETOF bytea
LANGUAGE plpgsql
STABLE
ROWS 10
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_nestloop = off
SET enable_mergejoin = off
AS $$
BEGIN
  RETURN QUERY
  WITH
  k AS MATERIALIZED (
    SELECT x.pid, x.granted, x.virtualtransaction, x.lock_type, x.transactionid, x.virtualxid, x.database_oid, x.relation_oid, x.page, x.tuple,
           x.classid, x.objid, x.objsubid, x.conflict_bits
      FROM lock_catalog.locks x WHERE p_seen IS NULL
    UNION ALL
    SELECT x.pid, x.granted, x.virtualtransaction, x.lock_type, x.transactionid, x.virtualxid, x.database_oid, x.relation_oid, x.page, x.tuple,
           x.classid, x.objid, x.objsubid, x.conflict_bits
      FROM jsonb_populate_recordset(NULL::lock_catalog.locks, p_seen -> 'locks') x),
  s AS MATERIALIZED (
    SELECT x.pid, x.lock_group, x.xact_start, x.state_change FROM lock_catalog.sessions x WHERE p_seen IS NULL
    UNION ALL
    SELECT x.pid, x.lock_group, x.xact_start, x.state_change
      FROM jsonb_populate_recordset(NULL::lock_catalog.sessions, p_seen -> 'sessions') x),
  o AS MATERIALIZED (
    SELECT DISTINCT w.lock_activity_hk, w.load_date, w.object_key, w.lock_priority, b.node
      FROM lock_monitoring.lock_activity_s w
      CROSS JOIN LATERAL unnest(w.blocking_nodes || w.soft_blocking_nodes) AS b (node)
     WHERE w.load_end_date IS NULL AND NOT w.lock_granted
       AND NOT EXISTS (SELECT 1 FROM k WHERE k.pid = w.lock_pid AND NOT k.granted)),
  b AS MATERIALIZED (
    SELECT w.lock_pid, w.lock_virtualtransaction, w.object_key
      FROM lock_monitoring.lock_activity_s w
     WHERE w.load_end_date IS NULL AND (w.lock_pid = 0 OR coalesce(w.lock_group, w.lock_pid) IN (SELECT o.node FROM o))),
  -- what the nodes in the way hold or want; the key of the object only of these
  h AS MATERIALIZED (
    SELECT n.node, n.since, n.conflict_bits, coalesce(n.pid, 0) AS pid, n.virtualtransaction,
           CASE n.lock_type WHEN 'transactionid' THEN 'transactionid:' || n.transactionid
             WHEN 'virtualxid' THEN 'virtualxid:' || n.virtualxid
             ELSE concat_ws(':', n.lock_type, n.database_oid, n.relation_oid, n.page, n.tuple, n.classid, n.objid, n.objsubid,
                            n.transactionid) END AS object_key
      FROM (
        -- a session without a transaction, which holds a lock of its own, has not moved since its state last changed
        SELECT s.lock_group::bigint AS node, coalesce(s.xact_start, s.state_change) AS since, k.*
          FROM k JOIN s ON s.pid = k.pid
        UNION ALL
        SELECT -t.transactionid, '-infinity'::timestamptz, k.*
          FROM k JOIN k t ON t.virtualtransaction = k.virtualtransaction
         WHERE k.pid IS NULL AND t.pid IS NULL AND t.lock_type = 'transactionid') n
     WHERE n.conflict_bits <> 0 AND n.node IN (SELECT o.node FROM o)
    OFFSET 0)
  SELECT DISTINCT o.lock_activity_hk
    FROM o JOIN h ON h.node = o.node AND h.object_key = o.object_key
   WHERE h.since <= o.load_date
     -- lock_priority n is the n-th mode in PostgreSQL's order, as is bit n of conflict_bits
     AND h.conflict_bits & (1 << o.lock_priority) <> 0
     AND EXISTS (SELECT 1 FROM b WHERE b.object_key = h.object_key AND b.lock_pid = h.pid AND b.lock_virtualtransaction = h.virtualtransaction);
END
$$;
COMMENT ON FUNCTION lock_engine.waits_not_served(jsonb) IS
  'Hubs of open waits that ended without the lock, because what they waited for is still in the way. p_seen: a look that was kept.';
