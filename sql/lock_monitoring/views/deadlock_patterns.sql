CREATE OR REPLACE VIEW lock_monitoring.deadlock_patterns AS
SELECT s.pattern_hash,
       count(*)::integer AS deadlocks,
       min(s.deadlock_timestamp) AS first_seen,
       max(s.deadlock_timestamp) AS last_seen,
       (count(*) FILTER (WHERE s.deadlock_timestamp > now() - interval '24 hours'))::integer AS last_24_hours,
       (count(*) FILTER (WHERE s.deadlock_timestamp > now() - interval '7 days'))::integer AS last_7_days,
       (count(*) FILTER (WHERE s.deadlock_timestamp BETWEEN now() - interval '14 days' AND now() - interval '7 days'))::integer
         AS previous_7_days,
       CASE WHEN coalesce(least(w.share, w.share_before), 0) < w.least THEN 'not compared'
            WHEN min(s.deadlock_timestamp) > now() - interval '7 days' THEN 'new'
            WHEN count(*) FILTER (WHERE s.deadlock_timestamp > now() - interval '7 days') = 0 THEN 'not seen this week'
            WHEN count(*) FILTER (WHERE s.deadlock_timestamp > now() - interval '7 days')
                 > count(*) FILTER (WHERE s.deadlock_timestamp BETWEEN now() - interval '14 days' AND now() - interval '7 days') THEN 'rising'
            WHEN count(*) FILTER (WHERE s.deadlock_timestamp > now() - interval '7 days')
                 < count(*) FILTER (WHERE s.deadlock_timestamp BETWEEN now() - interval '14 days' AND now() - interval '7 days') THEN 'falling'
            ELSE 'steady' END AS trend,
       (array_agg(s.deadlock_id ORDER BY s.deadlock_timestamp DESC))[1] AS latest_deadlock_id,
       (array_agg(array_to_string(s.affected_tables, ', ') ORDER BY s.deadlock_timestamp DESC))[1] AS tables,
       (array_agg(s.prevention_suggestion ORDER BY s.deadlock_timestamp DESC))[1] AS prevention_suggestion,
       (array_agg(s.deadlock_graph ORDER BY s.deadlock_timestamp DESC))[1] AS latest_graph,
       round(w.share, 6) AS watched_share_7_days,
       round(w.share_before, 6) AS watched_share_previous_7_days
  FROM lock_monitoring.deadlock_event_s s
 CROSS JOIN (SELECT lock_engine.watched_share(now() - interval '7 days', now()) AS share,
                    lock_engine.watched_share(now() - interval '14 days', now() - interval '7 days') AS share_before,
                    (lock_admin.setting('compare.min_watched_share') #>> '{}')::numeric AS least OFFSET 0) w
 WHERE s.load_end_date IS NULL AND s.pattern_hash IS NOT NULL
 GROUP BY s.pattern_hash, w.share, w.share_before, w.least;
COMMENT ON VIEW lock_monitoring.deadlock_patterns IS
  'The same deadlock over time: how often, since when, whether it comes more often (last 7 days against the 7 before; '
  'trend: not compared, where too little of either was watched), how to avoid it.';
