-- Where a site has the alert tables of its phase 2, its consumers see our events there: definition and instance with
-- the same keys as ours, versioned as theirs are. Touches only rows of this record source.
CREATE OR REPLACE FUNCTION monitoring.mirror_alert_events()
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    c_source CONSTANT text := 'LOCK_MONITOR';
    v_now timestamptz := clock_timestamp();
    v_events bytea[];
    v_alerts bytea[];
BEGIN
    PERFORM lock_engine.require_writable('monitoring.mirror_alert_events', false);
    IF to_regclass('monitoring.alert_definition_h') IS NULL OR to_regclass('monitoring.alert_definition_s') IS NULL
       OR to_regclass('monitoring.alert_instance_h') IS NULL OR to_regclass('monitoring.alert_instance_s') IS NULL THEN
        RETURN 0;
    END IF;

    SELECT array_agg(e.alert_event_hk), array_agg(DISTINCT e.alert_config_hk)
      INTO v_events, v_alerts
      FROM monitoring.alert_event_s AS e
      LEFT JOIN monitoring.alert_instance_s AS i ON i.alert_instance_hk = e.alert_event_hk AND i.load_end_date IS NULL
     WHERE e.load_end_date IS NULL
       AND e.load_date > v_now - interval '7 days'
       AND i.hash_diff IS DISTINCT FROM e.hash_diff;
    IF v_events IS NULL THEN
        RETURN 0;
    END IF;

    INSERT INTO monitoring.alert_definition_h (alert_definition_hk, alert_definition_bk, tenant_hk, load_date, record_source)
    SELECT c.alert_config_hk, c.alert_config_bk, c.tenant_hk, v_now, c_source
      FROM monitoring.alert_configuration_h AS c
     WHERE c.alert_config_hk = ANY (v_alerts)
       AND NOT EXISTS (SELECT FROM monitoring.alert_definition_h AS h WHERE h.alert_definition_hk = c.alert_config_hk);

    UPDATE monitoring.alert_definition_s AS d
       SET load_end_date = v_now
      FROM monitoring.alert_configuration_s AS c
     WHERE c.load_end_date IS NULL
       AND c.alert_config_hk = ANY (v_alerts)
       AND d.alert_definition_hk = c.alert_config_hk AND d.load_end_date IS NULL
       AND d.record_source = c_source
       AND d.hash_diff <> sha256(convert_to('v' || c.satellite_id, 'UTF8'));
    INSERT INTO monitoring.alert_definition_s (
        alert_definition_hk, load_date, load_end_date, hash_diff, alert_name, alert_description, alert_category,
        alert_severity, metric_source, condition_logic, threshold_value, threshold_operator, is_enabled, auto_resolve,
        escalation_enabled, escalation_delay_minutes, suppression_window_minutes, created_by, last_modified_by, record_source)
    SELECT c.alert_config_hk, v_now, NULL, sha256(convert_to('v' || c.satellite_id, 'UTF8')), c.alert_name, c.description,
           c.alert_category, c.alert_severity, 'lock_monitoring', c.alert_query, c.critical_threshold,
           CASE WHEN c.critical_threshold < c.warning_threshold THEN '<=' ELSE '>=' END, c.is_active, true,
           c.escalate_minutes > 0, c.escalate_minutes, c.repeat_minutes, left(c.changed_by, 100), left(c.changed_by, 100),
           c_source
      FROM monitoring.alert_configuration_s AS c
     WHERE c.load_end_date IS NULL
       AND c.alert_config_hk = ANY (v_alerts)
       AND NOT EXISTS (SELECT FROM monitoring.alert_definition_s AS d
                        WHERE d.alert_definition_hk = c.alert_config_hk AND d.load_end_date IS NULL);

    INSERT INTO monitoring.alert_instance_h (
        alert_instance_hk, alert_instance_bk, alert_definition_hk, tenant_hk, load_date, record_source)
    SELECT e.alert_event_hk, e.alert_event_bk, e.alert_config_hk, e.tenant_hk, v_now, c_source
      FROM monitoring.alert_event_h AS e
     WHERE e.alert_event_hk = ANY (v_events)
       AND NOT EXISTS (SELECT FROM monitoring.alert_instance_h AS h WHERE h.alert_instance_hk = e.alert_event_hk);

    UPDATE monitoring.alert_instance_s AS i
       SET load_end_date = v_now
     WHERE i.alert_instance_hk = ANY (v_events) AND i.load_end_date IS NULL;
    INSERT INTO monitoring.alert_instance_s (
        alert_instance_hk, load_date, load_end_date, hash_diff, alert_status, triggered_timestamp, acknowledged_timestamp,
        resolved_timestamp, trigger_value, trigger_details, urgency_level, affected_systems, acknowledged_by, resolved_by,
        resolution_notes, suppression_reason, escalation_level, last_notification_sent, notification_count, record_source)
    SELECT e.alert_event_hk, v_now, NULL, e.hash_diff,
           CASE e.event_state WHEN 'resolved' THEN 'RESOLVED' WHEN 'acknowledged' THEN 'ACKNOWLEDGED'
                              WHEN 'snoozed' THEN 'SUPPRESSED' WHEN 'escalated' THEN 'ESCALATED' ELSE 'OPEN' END,
           e.started_at, e.acknowledged_at, e.resolved_at, e.value,
           jsonb_build_object('level', e.level, 'worst_level', e.worst_level, 'worst_value', e.worst_value, 'sentence', e.sentence),
           CASE e.worst_level WHEN 'critical' THEN 'CRITICAL' WHEN 'error' THEN 'HIGH' ELSE 'MEDIUM' END,
           ARRAY[current_database()::text], left(e.acknowledged_by, 100), left(e.resolved_by, 100),
           CASE WHEN e.event_state = 'resolved' THEN e.note END,
           CASE WHEN e.event_state = 'snoozed' THEN coalesce(e.note, 'snoozed') END,
           CASE WHEN e.escalated_at IS NULL THEN 0 ELSE 1 END, e.last_notified_at, e.notification_count, c_source
      FROM monitoring.alert_event_s AS e
     WHERE e.alert_event_hk = ANY (v_events) AND e.load_end_date IS NULL;
    RETURN cardinality(v_events);
END
$function$;

COMMENT ON FUNCTION monitoring.mirror_alert_events() IS
    'Copies alert events that changed into the site''s own alert_definition_*/alert_instance_* tables, where it has them. Returns how many.';
REVOKE ALL ON FUNCTION monitoring.mirror_alert_events() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION monitoring.mirror_alert_events() TO lock_admin_role;

-- The site's tables, if it has them, take rows from the administrators' role.
DO $grants$
DECLARE
    v_table text;
BEGIN
    FOREACH v_table IN ARRAY ARRAY['alert_definition_h', 'alert_definition_s', 'alert_instance_h', 'alert_instance_s'] LOOP
        IF to_regclass('monitoring.' || v_table) IS NOT NULL THEN
            EXECUTE format('GRANT SELECT, INSERT ON monitoring.%I TO lock_admin_role', v_table);
            IF v_table LIKE '%\_s' THEN
                EXECUTE format('GRANT UPDATE (load_end_date) ON monitoring.%I TO lock_admin_role', v_table);
            END IF;
        END IF;
    END LOOP;
END
$grants$;
