CREATE OR REPLACE VIEW lock_monitoring.lock_wait_analysis_dashboard AS
SELECT s.analysis_period_start,
       s.analysis_period_end,
       s.total_lock_events,
       s.blocking_events,
       s.deadlock_events,
       s.average_lock_wait_time_ms AS avg_wait_time_ms,
       s.max_lock_wait_time_ms AS max_wait_time_ms,
       s.lock_timeout_events,
       s.most_contended_table,
       s.most_blocking_user,
       s.most_blocked_user,
       s.peak_concurrent_locks,
       s.lock_efficiency_score AS efficiency_score,
       s.performance_impact_score,
       s.business_hours_impact,
       s.trend_direction,
       s.recommended_optimizations,
       CASE WHEN s.watched_share < (lock_admin.setting('compare.min_watched_share') #>> '{}')::numeric THEN NULL
            WHEN s.lock_efficiency_score >= 99 THEN 'EXCELLENT' WHEN s.lock_efficiency_score >= 95 THEN 'GOOD'
            WHEN s.lock_efficiency_score >= 80 THEN 'FAIR' WHEN s.lock_efficiency_score IS NOT NULL THEN 'POOR' END
         AS efficiency_rating,
       s.blocked_seconds,
       s.previous_blocked_seconds,
       s.p50_lock_wait_time_ms,
       s.p95_lock_wait_time_ms,
       s.unknown,
       s.satellite_id,
       s.watched_share,
       s.previous_watched_share
  FROM lock_monitoring.lock_wait_analysis_s s
 WHERE s.load_end_date IS NULL
 ORDER BY s.analysis_period_end DESC;
COMMENT ON VIEW lock_monitoring.lock_wait_analysis_dashboard IS
  'The analyses of lock waits, newest first. efficiency_score: percent of the period in which nobody waited for a lock.';
