CREATE OR REPLACE VIEW lock_monitoring.deadlock_patterns AS
SELECT s.pattern_hash,
       count(*)::integer AS deadlocks,
       min(s.deadlock_timestamp) AS first_seen,
       max(s.deadlock_timestamp) AS last_seen,
       (count(*) FILTER (WHERE s.deadlock_timestamp > now() - interval '24 hours'))::integer AS last_24_hours,
       (count(*) FILTER (WHERE s.deadlock_timestamp > now() - interval '7 days'))::integer AS last_7_days,
       (count(*) FILTER (WHERE s.deadlock_timestamp BETWEEN now() - interval '14 days' AND now() - interval '7 days'))::integer
         AS previous_7_days,
       CASE WHEN min(s.deadlock_timestamp) > now() - interval '7 days' THEN 'new'
            WHEN count(*) FILTER (WHERE s.deadlock_timestamp > now() - interval '7 days') = 0 THEN 'not seen this week'
            WHEN count(*) FILTER (WHERE s.deadlock_timestamp > now() - interval '7 days')
                 > count(*) FILTER (WHERE s.deadlock_timestamp BETWEEN now() - interval '14 days' AND now() - interval '7 days') THEN 'rising'
            WHEN count(*) FILTER (WHERE s.deadlock_timestamp > now() - interval '7 days')
                 < count(*) FILTER (WHERE s.deadlock_timestamp BETWEEN now() - interval '14 days' AND now() - interval '7 days') THEN 'falling'
            ELSE 'steady' END AS trend,
       (array_agg(s.deadlock_id ORDER BY s.deadlock_timestamp DESC))[1] AS latest_deadlock_id,
       (array_agg(array_to_string(s.affected_tables, ', ') ORDER BY s.deadlock_timestamp DESC))[1] AS tables,
       (array_agg(s.prevention_suggestion ORDER BY s.deadlock_timestamp DESC))[1] AS prevention_suggestion,
       (array_agg(s.deadlock_graph ORDER BY s.deadlock_timestamp DESC))[1] AS latest_graph
  FROM lock_monitoring.deadlock_event_s s
 WHERE s.load_end_date IS NULL AND s.pattern_hash IS NOT NULL
 GROUP BY s.pattern_hash;
COMMENT ON VIEW lock_monitoring.deadlock_patterns IS
  'The same deadlock over time: how often, since when, whether it comes more often (last 7 days against the 7 before), how to avoid it.';
