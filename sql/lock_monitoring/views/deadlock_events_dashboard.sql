CREATE OR REPLACE VIEW lock_monitoring.deadlock_events_dashboard AS
SELECT s.deadlock_timestamp,
       s.deadlock_id,
       cardinality(s.involved_pids) AS sessions_involved,
       s.involved_pids,
       s.involved_users,
       s.deadlock_victim_pid,
       s.deadlock_resolution,
       s.deadlock_duration_ms,
       s.affected_tables,
       s.lock_types_involved,
       s.deadlock_frequency_score AS frequency_score,
       s.prevention_suggestion,
       s.business_impact,
       s.recovery_time_seconds,
       s.data_consistency_affected,
       s.automatic_retry_successful,
       s.manual_intervention_required,
       CASE WHEN s.pattern_hash IS NULL THEN 1
            ELSE (count(*) OVER (PARTITION BY s.pattern_hash))::integer END AS similar_deadlocks_count,
       (CASE WHEN s.deadlock_frequency_score >= 10 THEN 'IMMEDIATE'
             WHEN s.deadlock_frequency_score >= 3 THEN 'HIGH'
             WHEN s.deadlock_timestamp > now() - interval '24 hours' THEN 'MEDIUM'
             ELSE 'LOW' END)::varchar(20) AS response_priority
  FROM lock_monitoring.deadlock_event_s s
 WHERE s.load_end_date IS NULL
 ORDER BY s.deadlock_timestamp DESC;
COMMENT ON VIEW lock_monitoring.deadlock_events_dashboard IS
  'Deadlocks, latest first. frequency_score: how many of the same pattern in the 24 hours before; what PostgreSQL cannot know is NULL.';
