-- Puts what the server log proves of a wait in the place of what two looks could tell of its end: when, how, and how long it waited. A
-- record is of a wait where session (%c, pid), mode and object are its own and it waited at the last look that saw it, since the same
-- moment. log_lock_waits writes that a wait of more than deadlock_timeout goes on, and later that it was granted or ended in a deadlock; a
-- timeout, a cancel or a termination does not name what was waited for, so it counts where it is the next that the session has logged
-- after "still waiting". A session that has gone and has logged nothing more did so without the lock.
-- Only what is proven counts (lock_log.standing_of), and only of this server's own log. It does not matter which came first, the record or
-- the look that missed the wait: records stay, and a wait that ended is kept for some seconds (lock_engine.wait_end).
CREATE OR REPLACE FUNCTION lock_engine.settle_endings()
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET plan_cache_mode = force_generic_plan
-- each wait looks its process's few records up, whatever the planner believes of a table that nobody has analysed
SET enable_mergejoin = off
SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
  -- what a record is late by: it is written behind what it tells, and cut to milliseconds
  c_cut constant interval := interval '5 milliseconds';
  c_late constant interval := interval '500 milliseconds';
  -- what is logged is in the file by then
  c_written constant interval := interval '1 second';
  c_kept constant interval := interval '10 seconds';
  c_longest constant interval := interval '10 minutes';
  v_now timestamptz := clock_timestamp();
  v_read boolean;
  v_settled integer := 0;
  v_first timestamptz;
  v_end record;
BEGIN
  SELECT s.modified_at IS NOT NULL AND s.file_size IS NOT NULL INTO v_read
    FROM lock_log.state s WHERE s.state_id = 1 AND s.readable AND s.log_format IS DISTINCT FROM 'stderr';
  IF NOT FOUND THEN
    DELETE FROM lock_engine.wait_end w;
    RETURN 0;
  END IF;
  FOR v_end IN
  WITH
  r AS MATERIALIZED (
    SELECT w.lock_activity_hk, w.load_date, e.event_id, e.kind, e.logged_at, e.waited_ms, coalesce(
             e.kind IN ('waiting', 'acquired', 'deadlock_wait', 'failed_wait') AND e.lock_mode = w.lock_mode
             AND x.began >= w.wait_start - c_cut
             AND x.began <= CASE WHEN w.wait_start_is_bound THEN w.last_seen_at + c_cut
                                 ELSE greatest(w.wait_start + c_cut, least(w.wait_start + c_late, w.last_seen_at)) END
             AND (e.kind = 'waiting' OR CASE WHEN w.wait_start_is_bound THEN e.logged_at
                                             ELSE w.wait_start + make_interval(secs => e.waited_ms::double precision / 1000) END
                                        >= w.last_seen_at - c_cut)
             AND CASE WHEN k.key IS NULL THEN split_part(w.object_key, ':', 1) = e.lock_type
                      ELSE w.object_key = k.key OR e.lock_type = 'object' AND w.object_key LIKE k.key || ':%' END, false) AS own
      FROM lock_engine.wait_end w
     CROSS JOIN LATERAL (
       SELECT z.* FROM lock_log.event z
        WHERE z.pid = w.lock_pid AND z.logged_at BETWEEN w.wait_start - c_cut AND w.not_seen_at + c_kept OFFSET 0) e
     CROSS JOIN LATERAL (SELECT e.logged_at - make_interval(secs => e.waited_ms::double precision / 1000) AS began) x
     CROSS JOIN LATERAL (SELECT lock_log.object_key(e.lock_type, e.object_text, e.database_oid, e.relation_oid, e.page, e.tuple,
                                                    e.transactionid) AS key) k
     WHERE e.session_id = w.session_id AND e.standing = 'proven' AND (e.source = 'server' OR e.source LIKE 'own:%')
       AND e.kind <> 'rearranged'),
  -- that it waits, and what is logged next
  n AS MATERIALIZED (
    SELECT DISTINCT ON (b.lock_activity_hk, b.load_date) b.lock_activity_hk, b.load_date, b.logged_at AS waiting_at, b.waited_ms AS waiting_ms,
           a.event_id, a.kind, a.logged_at, a.own
      FROM r b
      LEFT JOIN r a ON a.lock_activity_hk = b.lock_activity_hk AND a.load_date = b.load_date AND a.event_id <> b.event_id
                   AND (a.logged_at > b.logged_at OR a.logged_at = b.logged_at AND a.event_id > b.event_id)
     WHERE b.own AND b.kind = 'waiting'
     ORDER BY b.lock_activity_hk, b.load_date, b.logged_at DESC, a.logged_at, a.own DESC, a.event_id),
  -- what names this very wait's end
  a AS MATERIALIZED (
    SELECT DISTINCT ON (r.lock_activity_hk, r.load_date) r.lock_activity_hk, r.load_date, r.kind, r.logged_at, r.waited_ms
      FROM r WHERE r.own AND r.kind <> 'waiting'
     ORDER BY r.lock_activity_hk, r.load_date, r.logged_at)
    SELECT w.lock_activity_hk, w.load_date, y.how, y.ended_at, y.waited_ms
      FROM lock_engine.wait_end w
      LEFT JOIN n ON n.lock_activity_hk = w.lock_activity_hk AND n.load_date = w.load_date
      LEFT JOIN a ON a.lock_activity_hk = w.lock_activity_hk AND a.load_date = w.load_date
     CROSS JOIN LATERAL (
       SELECT CASE a.kind WHEN 'acquired' THEN 'granted' WHEN 'deadlock_wait' THEN 'deadlock' ELSE 'cancelled' END AS how,
              CASE WHEN w.wait_start_is_bound THEN a.logged_at
                   ELSE w.wait_start + make_interval(secs => a.waited_ms::double precision / 1000) END AS ended_at, a.waited_ms
        WHERE a.kind IS NOT NULL
       UNION ALL
       SELECT CASE n.kind WHEN 'lock_timeout' THEN 'lock timeout' WHEN 'deadlock' THEN 'deadlock' WHEN 'terminated' THEN 'terminated'
                          ELSE 'cancelled' END,
              n.logged_at,
              round((extract(epoch FROM n.logged_at - CASE WHEN w.wait_start_is_bound THEN n.waiting_at ELSE w.wait_start END) * 1000)::numeric
                    + CASE WHEN w.wait_start_is_bound THEN n.waiting_ms ELSE 0 END, 3)
        WHERE a.kind IS NULL AND n.kind IN ('lock_timeout', 'cancelled', 'deadlock', 'terminated', 'autovacuum_cancelled', 'recovery_conflict')
          AND n.logged_at >= w.last_seen_at - c_cut
       UNION ALL
       SELECT 'session gone', NULL, NULL
        WHERE a.kind IS NULL AND n.waiting_at IS NOT NULL AND n.kind IS NULL AND w.session_gone AND v_read AND w.not_seen_at < v_now - c_written) y
  LOOP
    UPDATE lock_monitoring.lock_activity_s s
       SET resolution_action = CASE WHEN v_end.ended_at IS NULL AND s.resolution_action <> 'unknown'
                                         -- whose sessions are terminated one by one
                                         OR v_end.how = 'terminated' AND s.resolution_action = 'server restarted' THEN s.resolution_action ELSE v_end.how END,
           resolution_timestamp = coalesce(v_end.ended_at, s.resolution_timestamp), log_end_at = v_end.ended_at, waited_ms = v_end.waited_ms
     WHERE s.lock_activity_hk = v_end.lock_activity_hk AND s.load_date = v_end.load_date AND s.load_end_date IS NOT NULL AND NOT s.lock_granted;
    IF FOUND THEN
      v_settled := v_settled + 1;
      v_first := least(v_first, v_end.load_date);
    END IF;
    DELETE FROM lock_engine.wait_end w WHERE w.lock_activity_hk = v_end.lock_activity_hk AND w.load_date = v_end.load_date;
  END LOOP;
  DELETE FROM lock_engine.wait_end w WHERE w.not_seen_at < v_now - CASE WHEN v_read THEN c_kept ELSE c_longest END;
  IF v_settled > 0 THEN
    -- an hour that was added up before
    PERFORM lock_engine.unroll_waits(v_first);
  END IF;
  RETURN v_settled;
END
$$;
COMMENT ON FUNCTION lock_engine.settle_endings() IS
  'Puts end, milliseconds and ending of waits as the server log proves them in the place of what was seen; how many. Called by '
  'lock_engine.collect_deadlocks after the log was read.';
