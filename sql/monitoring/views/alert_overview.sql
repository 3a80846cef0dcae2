-- One row per alert, for lists: its present version, where its evaluation stands, its unresolved event. No recipients.
CREATE OR REPLACE VIEW monitoring.alert_overview AS
SELECT encode(c.alert_config_hk, 'hex') AS alert_key,
       c.alert_config_hk,
       c.satellite_id,
       c.alert_name,
       c.alert_category,
       c.alert_severity,
       c.is_active,
       c.description,
       c.alert_query,
       c.warning_threshold,
       c.critical_threshold,
       c.for_at_least_seconds,
       c.clear_after_seconds,
       c.repeat_minutes,
       c.escalate_minutes,
       c.snoozed_until,
       c.load_date AS version_since,
       c.changed_by,
       CASE WHEN NOT c.is_active THEN 'off'
            WHEN s.evaluated_at IS NULL THEN 'not evaluated yet'
            WHEN s.evaluated_at < clock_timestamp() - interval '3 minutes' THEN 'not evaluated'
            WHEN e.event_state IS NOT NULL THEN e.event_state
            ELSE s.level END::text AS state_now,
       s.level,
       s.level_since,
       s.pending_level,
       s.pending_since,
       s.value AS last_value,
       s.sentence,
       s.evaluated_at,
       s.evaluation_ms,
       coalesce(s.recent, '[]'::jsonb) AS recent,
       encode(e.alert_event_hk, 'hex') AS open_event_key,
       f.last_fired_at,
       f.events_30_days
  FROM monitoring.alert_configuration_s AS c
  LEFT JOIN monitoring.alert_state AS s ON s.alert_config_hk = c.alert_config_hk
  LEFT JOIN monitoring.alert_event_s AS e
         ON e.alert_config_hk = c.alert_config_hk AND e.load_end_date IS NULL AND e.event_state <> 'resolved'
  LEFT JOIN LATERAL (
       SELECT max(p.raised_at) AS last_fired_at,
              count(*) FILTER (WHERE p.raised_at > clock_timestamp() - interval '30 days')::integer AS events_30_days
         FROM monitoring.alert_event_s AS p
        WHERE p.alert_config_hk = c.alert_config_hk AND p.load_end_date IS NULL) AS f ON true
 WHERE c.load_end_date IS NULL;

COMMENT ON VIEW monitoring.alert_overview IS 'One row per alert: its present version, state now, last value, open event, last fired.';
COMMENT ON COLUMN monitoring.alert_overview.state_now IS
    'off, not evaluated yet, not evaluated (the evaluator is silent), ok, warning, critical, error, escalated, acknowledged, snoozed.';
GRANT SELECT ON monitoring.alert_overview TO lock_monitoring_role;
ALTER VIEW monitoring.alert_overview OWNER TO lock_vault_owner;
