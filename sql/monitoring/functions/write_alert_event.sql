-- Writes the next version of an alert event, or its first. The caller names the version it saw: if somebody was
-- quicker, nothing is written and no row is returned, and the caller looks again.
CREATE OR REPLACE FUNCTION monitoring.write_alert_event(
    p_alert_config_hk bytea,
    p_alert_event_hk bytea,
    p_expected_satellite_id bigint,
    p_fields jsonb,
    p_changed_by text
)
RETURNS TABLE (alert_event_hk bytea, satellite_id bigint)
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_row monitoring.alert_event_s;
    v_bk text;
    v_satellite_id bigint;
BEGIN
    PERFORM lock_engine.require_writable('monitoring.write_alert_event', false);
    IF p_alert_event_hk IS NULL THEN
        v_bk := encode(p_alert_config_hk, 'hex') || ':' || to_char(v_now AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISS.US"Z"');
        v_row.alert_event_hk := sha256(convert_to(v_bk, 'UTF8'));
        v_row.alert_config_hk := p_alert_config_hk;
        v_row.notified_levels := '{}';
        v_row.notification_count := 0;
    ELSE
        UPDATE monitoring.alert_event_s AS s
           -- a clock that was set back must not end a version before it begins
           SET load_end_date = greatest(v_now, s.load_date + interval '1 microsecond')
         WHERE s.alert_event_hk = p_alert_event_hk
           AND s.satellite_id = p_expected_satellite_id
           AND s.load_end_date IS NULL
        RETURNING s.* INTO v_row;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        v_now := v_row.load_end_date;
    END IF;

    v_row := jsonb_populate_record(v_row, p_fields);
    v_row.load_date := v_now;
    v_row.load_end_date := NULL;
    v_row.changed_by := p_changed_by;
    v_row.hash_diff := sha256(convert_to(
        jsonb_build_array(v_row.event_state, v_row.level, v_row.worst_level, v_row.sentence, v_row.notified_levels,
            v_row.notification_count, v_row.escalated_at, v_row.acknowledged_at, v_row.acknowledged_by,
            v_row.snoozed_until, v_row.resolved_at, v_row.resolved_by, v_row.note)::text, 'UTF8'));

    IF p_alert_event_hk IS NULL THEN
        -- An alert that already has an unresolved event gets no second one.
        IF EXISTS (SELECT FROM monitoring.alert_event_s AS s
                    WHERE s.alert_config_hk = p_alert_config_hk AND s.load_end_date IS NULL AND s.event_state <> 'resolved')
        THEN
            RETURN;
        END IF;
        INSERT INTO monitoring.alert_event_h (alert_event_hk, alert_event_bk, alert_config_hk, tenant_hk, load_date, record_source)
        VALUES (v_row.alert_event_hk, v_bk, p_alert_config_hk,
                (SELECT h.tenant_hk FROM monitoring.alert_configuration_h AS h WHERE h.alert_config_hk = p_alert_config_hk),
                v_now, 'LOCK_MONITOR');
    END IF;

    INSERT INTO monitoring.alert_event_s (
        alert_event_hk, load_date, load_end_date, hash_diff, alert_config_hk, event_state, level, worst_level, value,
        worst_value, sentence, started_at, raised_at, notified_levels, last_notified_at, notification_count,
        escalated_at, acknowledged_at, acknowledged_by, snoozed_until, resolved_at, resolved_by, note, changed_by,
        record_source)
    VALUES (
        v_row.alert_event_hk, v_row.load_date, v_row.load_end_date, v_row.hash_diff, v_row.alert_config_hk,
        v_row.event_state, v_row.level, v_row.worst_level, v_row.value, v_row.worst_value, v_row.sentence,
        v_row.started_at, v_row.raised_at, v_row.notified_levels, v_row.last_notified_at, v_row.notification_count,
        v_row.escalated_at, v_row.acknowledged_at, v_row.acknowledged_by, v_row.snoozed_until, v_row.resolved_at,
        v_row.resolved_by, v_row.note, v_row.changed_by, 'LOCK_MONITOR')
    RETURNING alert_event_s.satellite_id INTO v_satellite_id;

    alert_event_hk := v_row.alert_event_hk;
    satellite_id := v_satellite_id;
    RETURN NEXT;
END
$function$;

COMMENT ON FUNCTION monitoring.write_alert_event(bytea, bytea, bigint, jsonb, text) IS
    'Writes an alert event''s next version (or its first, with p_alert_event_hk NULL). No row back: somebody else changed it meanwhile.';
REVOKE ALL ON FUNCTION monitoring.write_alert_event(bytea, bytea, bigint, jsonb, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION monitoring.write_alert_event(bytea, bytea, bigint, jsonb, text) TO lock_admin_role;
