CREATE OR REPLACE VIEW lock_monitoring.deadlock_history AS
SELECT s.satellite_id, s.deadlock_event_hk, h.tenant_hk, s.deadlock_id, s.deadlock_timestamp, s.involved_pids, s.involved_users,
       s.involved_queries, s.deadlock_victim_pid, s.deadlock_victim_query, s.deadlock_resolution, s.deadlock_duration_ms,
       s.affected_tables, s.lock_types_involved, s.prevention_suggestion, s.deadlock_graph, s.participants, s.sources, s.unknown,
       s.pattern_hash, s.log_excerpt,
       CASE WHEN s.pattern_hash IS NULL THEN 1 ELSE (count(*) OVER p)::integer END AS similar_deadlocks,
       CASE WHEN s.pattern_hash IS NULL THEN s.deadlock_timestamp ELSE min(s.deadlock_timestamp) OVER p END AS first_seen,
       CASE WHEN s.pattern_hash IS NULL THEN s.deadlock_timestamp ELSE max(s.deadlock_timestamp) OVER p END AS last_seen,
       s.load_date, h.load_date AS first_stored, s.record_source
  FROM lock_monitoring.deadlock_event_s s
  JOIN lock_monitoring.deadlock_event_h h ON h.deadlock_event_hk = s.deadlock_event_hk
 WHERE s.load_end_date IS NULL
WINDOW p AS (PARTITION BY s.pattern_hash);
COMMENT ON VIEW lock_monitoring.deadlock_history IS
  'Every deadlock in its latest version, with how often and since when its pattern has come.';
