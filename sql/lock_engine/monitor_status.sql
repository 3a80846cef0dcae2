-- The monitor's own state for pages, health checks and alerts, one row always. The last look is the latest of
-- what the loop has stored and, while it stores nothing, the start of its session's last statement; a new leader's first
-- statement is no look. What the heartbeat says is the leader's own only where this session has written it: until a new
-- leader has, nothing of the one before (what was in its way, its host) is shown as the present.
CREATE OR REPLACE VIEW lock_engine.monitor_status AS
WITH moment AS (
  SELECT clock_timestamp() AS now, date_trunc('day', clock_timestamp()) AS today
), holder AS (
  SELECT max(m.pid) FILTER (WHERE m.number = 3) AS leader_pid, max(m.pid) FILTER (WHERE m.number = 4) AS standby_pid
    FROM lock_catalog.monitor_locks m
), covered AS (
  SELECT sum(c.looks)::bigint AS looks, sum(c.cycles_run)::bigint AS cycles_run,
         sum(c.cycles_skipped)::bigint AS cycles_skipped, sum(c.cycles_failed)::bigint AS cycles_failed,
         max(c.largest_gap_ms) AS largest_gap_ms, sum(c.busy_ms) AS busy_ms,
         sum(c.unsampled_transactions)::bigint AS unsampled_transactions
    FROM lock_engine.coverage c, moment m
   WHERE c.period_end >= m.today
), gaps AS (
  SELECT count(*)::integer AS gaps,
         coalesce(sum(date_part('epoch', u.span_end - u.span_start)), 0)::numeric(12,3) AS gap_seconds
    FROM moment m
   CROSS JOIN LATERAL lock_engine.watch_bounds(m.now) b
   CROSS JOIN LATERAL lock_engine.unwatched_spans(greatest(m.today, least(b.known_from, m.now)), m.now) u
)
SELECT CASE WHEN l.own AND h.skipping_since IS NOT NULL THEN 'skipping'
            WHEN o.leader_pid IS NOT NULL THEN 'watching'
            WHEN h.heartbeat_id IS NULL THEN 'never started'
            ELSE 'not watching' END AS state,
       l.last_look_at,
       date_part('epoch', m.now - l.last_look_at)::numeric(14,3) AS last_look_age_seconds,
       h.last_cycle_at,
       h.look_ms, h.cycle_ms, h.look_by,
       o.leader_pid,
       CASE WHEN l.own THEN h.leader_host END AS leader_host,
       CASE WHEN l.own THEN h.leader_process END AS leader_process,
       CASE WHEN l.own THEN h.watching_since END AS watching_since,
       o.standby_pid,
       CASE WHEN l.own THEN h.skipping_since END AS skipping_since,
       CASE WHEN l.own THEN h.skipped_because END AS skipped_because,
       g.gaps AS gaps_today, g.gap_seconds AS gap_seconds_today,
       c.looks AS looks_today, c.cycles_run AS cycles_run_today, c.cycles_skipped AS cycles_skipped_today,
       c.cycles_failed AS cycles_failed_today, c.largest_gap_ms AS largest_gap_ms_today, c.busy_ms AS busy_ms_today,
       c.unsampled_transactions AS unsampled_transactions_today,
       w.first_look_at,
       ARRAY(SELECT p.part FROM lock_engine.part_state p WHERE p.failures_in_a_row >= 2 ORDER BY p.failing_since, p.part)
         AS failing_parts
  FROM moment m
 CROSS JOIN holder o
 CROSS JOIN covered c
 CROSS JOIN gaps g
  LEFT JOIN lock_engine.heartbeat h ON h.heartbeat_id = 1
  LEFT JOIN lock_engine.watch_state w ON w.watch_state_id = 1
  LEFT JOIN lock_catalog.sessions s ON s.pid = CASE WHEN o.leader_pid = h.leader_pid THEN o.leader_pid END
 CROSS JOIN LATERAL (SELECT o.leader_pid = h.leader_pid AS own,
                            greatest(h.last_look_at, w.last_look_at, s.query_start) AS last_look_at) l;
COMMENT ON VIEW lock_engine.monitor_status IS
  'One row: is the loop watching, since when, when it looked last, what it skips and why, and its coverage of today.';
COMMENT ON COLUMN lock_engine.monitor_status.state IS
  'watching (a loop leads; last_look_age_seconds says whether it looks), skipping (looks, but cannot store), not watching, never started.';
COMMENT ON COLUMN lock_engine.monitor_status.watching_since IS
  'Since when the loop that leads now watches; NULL: nobody leads, or its first look is still to come.';
COMMENT ON COLUMN lock_engine.monitor_status.gap_seconds_today IS
  'Seconds of today, since the first look of this vault, in which nobody watched.';
COMMENT ON COLUMN lock_engine.monitor_status.failing_parts IS
  'Parts that have failed twice in a row or more (lock_engine.part_state says why): it watches without them.';
COMMENT ON COLUMN lock_engine.monitor_status.first_look_at IS 'Since when anything is known; NULL: never looked.';
GRANT SELECT ON lock_engine.monitor_status TO lock_monitoring_role;
