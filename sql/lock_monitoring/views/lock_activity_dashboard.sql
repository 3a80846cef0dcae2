-- Open rows are shown only while their session lives or the last good cycle is recent: never old data as if it were now.
CREATE OR REPLACE VIEW lock_monitoring.lock_activity_dashboard AS
WITH now_open AS (
  SELECT s.*,
         -- live: a wait grows from its start, a held lock from when it was first seen
         extract(epoch FROM clock_timestamp()
           - CASE WHEN s.lock_granted THEN s.held_since_at_least ELSE s.wait_start END)::numeric AS live_seconds,
         (extract(epoch FROM clock_timestamp() - s.load_date)::numeric
           * CASE WHEN s.lock_granted THEN s.blocking_count ELSE 1 END) AS grown
    FROM lock_monitoring.lock_activity_s s
   WHERE s.load_end_date IS NULL
     AND ((SELECT c.checked_at FROM lock_engine.cycle_state c) > clock_timestamp() - interval '15 seconds'
          -- a prepared transaction has no pid: it is known by when it was prepared
          OR (s.lock_pid = 0 AND EXISTS (SELECT 1 FROM pg_catalog.pg_prepared_xacts p WHERE p.prepared = s.held_since_at_least))
          OR (s.lock_pid, s.backend_start) IN (SELECT a.pid, a.backend_start FROM lock_catalog.alive a)))
SELECT o.lock_type,
       o.lock_mode,
       o.relation_name,
       o.schema_name,
       o.table_name,
       count(*) AS lock_count,
       count(*) FILTER (WHERE NOT o.lock_granted) AS waiting_locks,
       count(*) FILTER (WHERE o.blocking_count > 0) AS blocking_locks,
       round(avg(o.live_seconds), 2) AS avg_duration_seconds,
       floor(max(o.live_seconds))::integer AS max_duration_seconds,
       round(avg(o.lock_impact_score + o.grown), 2) AS avg_impact_score,
       round(max(o.lock_impact_score + o.grown), 2) AS max_impact_score,
       count(DISTINCT o.user_name) AS distinct_users,
       count(DISTINCT o.application_name) AS distinct_applications,
       min(coalesce(o.wait_start, o.held_since_at_least)) AS earliest_lock,
       max(coalesce(o.wait_start, o.held_since_at_least)) AS latest_lock
  FROM now_open o
 GROUP BY o.lock_type, o.lock_mode, o.relation_name, o.schema_name, o.table_name
 ORDER BY count(*) FILTER (WHERE NOT o.lock_granted) DESC, max(o.live_seconds) DESC NULLS LAST;
COMMENT ON VIEW lock_monitoring.lock_activity_dashboard IS
  'Locks held or wanted now, by type, mode and relation; durations in seconds, live. A granted lock''s duration is a lower '
  'bound: since it was first seen. Impact: session-seconds waited, or waited behind the lock; NULL where nobody waits.';
