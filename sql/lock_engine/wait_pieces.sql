-- Who waited behind whom, and from when to when, out of the stored waits themselves: one row for each stretch of a wait in which its
-- blockers stayed the same. Whatever says who stood behind a blocker, at a moment (lock_engine.behind_at) or added up
-- (lock_engine.behind_roots, behind_episodes), asks here.
-- Of a queue of like waiters only the first one's row tells when their blockers change (lock_engine.store_locks), so a follower has
-- those of the first waiter ahead of it at each moment, and its own where none is stored.
-- p_nodes: only of the queues in which somebody had one of these as blocker or root at some time. The first of a queue is rewritten when its roots
-- change, so that all that stood behind a root, or behind a blocker with that root, are in one of them.
-- valid_from and valid_until: while vault rows said so, from look to look. since and until: what of it counts as waited, from the wait's
-- beginning to lock_engine.wait_until; not after since where no second of it does.
CREATE OR REPLACE FUNCTION lock_engine.wait_pieces(p_from timestamptz, p_to timestamptz, p_nodes bigint[] DEFAULT NULL)
RETURNS TABLE (lock_activity_hk bytea, session integer, wait_start timestamptz, beside text, valid_from timestamptz, valid_until timestamptz,
               since timestamptz, until timestamptz, goes_on boolean, is_parallel boolean, blockers bigint[], roots bigint[])
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET plan_cache_mode = force_custom_plan
-- what stands in memory only has no statistics: each join is of one number, and hashed
SET enable_nestloop = off
SET enable_mergejoin = off
SET work_mem = '64MB'
AS $$
#variable_conflict use_column
DECLARE
  c_day constant interval := interval '1 day';
  -- while somebody watches a wait is seen so soon after it began
  c_seen_within constant interval := interval '10 seconds';
  v_last timestamptz := lock_engine.seen_until(p_to);
BEGIN
  RETURN QUERY
  WITH whole AS MATERIALIZED (
    SELECT s.lock_activity_hk, s.load_date, s.load_end_date, s.wait_start, s.lock_pid, s.lock_group, s.beside, s.object_key, s.lock_mode, s.queue_position,
           s.blocking_nodes, s.soft_blocking_nodes, s.root_nodes, s.last_seen_at, s.log_end_at, s.wait_start_is_bound
      FROM lock_monitoring.lock_activity_s s
     WHERE NOT s.lock_granted AND s.load_date >= p_from AND s.load_date < p_to + c_seen_within AND (s.load_date < p_to OR s.wait_start < p_to)
    UNION ALL
    SELECT s.lock_activity_hk, s.load_date, s.load_end_date, s.wait_start, s.lock_pid, s.lock_group, s.beside, s.object_key, s.lock_mode, s.queue_position,
           s.blocking_nodes, s.soft_blocking_nodes, s.root_nodes, s.last_seen_at, s.log_end_at, s.wait_start_is_bound
      FROM lock_monitoring.lock_activity_s s
     WHERE NOT s.lock_granted AND s.load_date > p_from - c_day AND s.load_date < p_from AND s.load_end_date > p_from
    UNION ALL
    SELECT s.lock_activity_hk, s.load_date, s.load_end_date, s.wait_start, s.lock_pid, s.lock_group, s.beside, s.object_key, s.lock_mode, s.queue_position,
           s.blocking_nodes, s.soft_blocking_nodes, s.root_nodes, s.last_seen_at, s.log_end_at, s.wait_start_is_bound
      FROM lock_monitoring.lock_activity_s s WHERE NOT s.lock_granted AND s.load_date < p_from AND s.load_end_date IS NULL
    UNION ALL
    SELECT s.lock_activity_hk, s.load_date, s.load_end_date, s.wait_start, s.lock_pid, s.lock_group, s.beside, s.object_key, s.lock_mode, s.queue_position,
           s.blocking_nodes, s.soft_blocking_nodes, s.root_nodes, s.last_seen_at, s.log_end_at, s.wait_start_is_bound
      FROM lock_monitoring.lock_activity_s s
     WHERE NOT s.lock_granted AND s.load_date <= p_from - c_day AND s.load_end_date - s.load_date > interval '1 day'
       AND s.load_end_date > p_from),
  queue AS MATERIALIZED (
    SELECT DISTINCT w.object_key FROM whole w
     WHERE p_nodes IS NOT NULL AND (w.blocking_nodes && p_nodes OR w.soft_blocking_nodes && p_nodes OR w.root_nodes && p_nodes)),
  found AS MATERIALIZED (
    SELECT w.* FROM whole w
     WHERE p_nodes IS NULL OR w.object_key IN (SELECT q.object_key FROM queue q)
        OR (w.object_key IS NULL AND (w.blocking_nodes && p_nodes OR w.soft_blocking_nodes && p_nodes OR w.root_nodes && p_nodes))),
  r AS MATERIALIZED (
    SELECT row_number() OVER () AS place, dense_rank() OVER (ORDER BY f.object_key, f.lock_mode) AS queue, f.lock_activity_hk,
           coalesce(f.lock_group, f.lock_pid) AS session, f.lock_pid, f.beside, coalesce(f.object_key IS NOT NULL AND f.queue_position = 1, false) AS is_first,
           coalesce(f.object_key IS NOT NULL AND f.queue_position > 1, false) AS follows, coalesce(f.wait_start, f.load_date) AS wait_start, f.load_date,
           b.began,
           coalesce(f.load_end_date, 'infinity') AS load_end_date, f.load_end_date IS NULL AS goes_on,
           coalesce(f.lock_group, f.lock_pid) IN (SELECT g.lock_group FROM found g WHERE g.lock_group IS NOT NULL) AS is_parallel,
           -- its first row counts since the wait began, which is some moments before it was seen
           CASE WHEN f.load_date < p_from OR p.lock_activity_hk IS NOT NULL THEN f.load_date
                ELSE least(b.began, f.load_date) END AS since,
           coalesce(lock_engine.wait_until(f.load_end_date, f.last_seen_at, f.log_end_at), v_last) AS until,
           coalesce(f.blocking_nodes, '{}') || coalesce(f.soft_blocking_nodes, '{}') AS blockers,
           coalesce(f.root_nodes, '{}') AS roots
      FROM found f
      CROSS JOIN LATERAL (
        SELECT CASE WHEN f.wait_start_is_bound THEN lock_engine.wait_began(f.lock_activity_hk, f.wait_start) ELSE coalesce(f.wait_start, f.load_date) END
          AS began OFFSET 0) b
      LEFT JOIN LATERAL (
        SELECT s.lock_activity_hk FROM lock_monitoring.lock_activity_s s
         WHERE f.load_date >= p_from AND s.lock_activity_hk = f.lock_activity_hk AND s.load_date < f.load_date
           AND s.load_end_date = f.load_date AND NOT s.lock_granted AND s.not_seen_at IS NULL LIMIT 1) p ON true),
  followed AS MATERIALIZED (SELECT DISTINCT r.queue FROM r WHERE r.follows),
  heads AS MATERIALIZED (
    SELECT x.queue, x.load_date, x.load_end_date, x.wait_start, x.lock_pid, x.blockers, x.roots,
           row_number() OVER (ORDER BY x.queue, x.load_date, x.place) AS n,
           max(x.load_end_date) OVER (PARTITION BY x.queue ORDER BY x.load_date, x.place ROWS UNBOUNDED PRECEDING) AS reach
      FROM r x WHERE x.is_first AND x.queue IN (SELECT f.queue FROM followed f)),
  -- the stretches between which the first waiters of a queue change, numbered; from the beginning of time to its end
  stretch AS MATERIALIZED (
    SELECT a.queue, a.at AS starts, lead(a.at, 1, 'infinity') OVER (PARTITION BY a.queue ORDER BY a.at) AS ends,
           row_number() OVER (ORDER BY a.queue, a.at) AS n
      FROM (SELECT h.queue, h.load_date AS at FROM heads h
            UNION SELECT h.queue, h.load_end_date FROM heads h WHERE h.load_end_date < 'infinity'
            UNION SELECT f.queue, '-infinity' FROM followed f) a),
  steps AS MATERIALIZED (
    SELECT s.queue, min(s.n) AS first_n, array_agg(s.starts ORDER BY s.n) AS starts FROM stretch s GROUP BY s.queue),
  reaches AS MATERIALIZED (
    SELECT h.queue, min(h.n) AS first_n, array_agg(h.load_date ORDER BY h.n) AS starts, array_agg(h.reach ORDER BY h.n) AS ends
      FROM heads h GROUP BY h.queue),
  -- the first waiters within each stretch: one, where the modes of a queue are mixed several
  first_ones AS MATERIALIZED (
    SELECT c.stretch, h.wait_start, h.lock_pid, h.blockers, h.roots
      FROM (SELECT s.n AS stretch, s.starts, e.first_n - 1 + i.n AS head
              FROM stretch s
              JOIN reaches e ON e.queue = s.queue
              CROSS JOIN LATERAL generate_series(width_bucket(s.starts, e.ends) + 1, width_bucket(s.starts, e.starts)) AS i (n)) c
      JOIN heads h ON h.n = c.head
     WHERE h.load_end_date > c.starts),
  followers AS (
    SELECT r.*, t.first_n - 1 + i.n AS stretch
      FROM r
      JOIN steps t ON t.queue = r.queue
      CROSS JOIN LATERAL generate_series(width_bucket(r.load_date, t.starts),
        width_bucket(greatest(r.load_date, r.load_end_date - interval '1 microsecond'), t.starts)) AS i (n)
     WHERE r.follows)
  (SELECT DISTINCT ON (f.place, f.stretch) f.lock_activity_hk, f.session, f.began, f.beside,
          greatest(f.load_date, s.starts), least(f.load_end_date, s.ends),
          CASE WHEN s.starts <= f.load_date THEN f.since ELSE s.starts END, least(f.until, s.ends), f.goes_on AND s.ends = 'infinity',
          f.is_parallel, coalesce(o.blockers, f.blockers), coalesce(o.roots, f.roots)
     FROM followers f
     JOIN stretch s ON s.n = f.stretch
     LEFT JOIN first_ones o ON o.stretch = f.stretch AND (o.wait_start, o.lock_pid) < (f.wait_start, f.lock_pid)
    ORDER BY f.place, f.stretch, o.wait_start DESC NULLS LAST, o.lock_pid DESC)
  UNION ALL
  SELECT r.lock_activity_hk, r.session, r.began, r.beside, r.load_date, r.load_end_date, r.since, r.until, r.goes_on, r.is_parallel, r.blockers, r.roots
    FROM r WHERE NOT r.follows;
END
$$;
COMMENT ON FUNCTION lock_engine.wait_pieces(timestamptz, timestamptz, bigint[]) IS
  'Stored waits that overlap the period, whole, cut where their blockers changed: session (the leader of its lock group), what vault rows '
  'span (valid_from, valid_until), what counts as waited (since, until; until now where it goes on), whether its session may wait for several things at once, and all blockers and roots then.';
