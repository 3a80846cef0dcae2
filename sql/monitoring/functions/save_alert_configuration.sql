-- A new version of an alert, for editors who were shown the version before it. Named differently from a plain INSERT,
-- which also works, in that an edit over somebody else's edit is refused instead of replacing it.
CREATE OR REPLACE FUNCTION monitoring.save_alert_configuration(
    p_alert_config_hk bytea,
    p_expected_satellite_id bigint,
    p_values jsonb,
    p_changed_by text,
    p_change_note text DEFAULT NULL
)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_row monitoring.alert_configuration_s;
    v_current monitoring.alert_configuration_s;
    v_satellite_id bigint;
BEGIN
    PERFORM lock_engine.require_writable('monitoring.save_alert_configuration', false);
    IF coalesce(btrim(p_changed_by), '') = '' THEN
        RAISE EXCEPTION 'Say who changes the alert: p_changed_by is empty.' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Two editors of one alert meet here; the second sees what the first has saved.
    PERFORM pg_advisory_xact_lock(461, hashtext(encode(p_alert_config_hk, 'hex')));
    SELECT s.* INTO v_current
      FROM monitoring.alert_configuration_s AS s
     WHERE s.alert_config_hk = p_alert_config_hk AND s.load_end_date IS NULL;
    IF p_expected_satellite_id IS NULL AND v_current.satellite_id IS NOT NULL THEN
        RAISE EXCEPTION 'There is already an alert with this name (%). Choose another name.', v_current.alert_name
            USING ERRCODE = 'unique_violation';
    END IF;
    IF p_expected_satellite_id IS NOT NULL AND v_current.satellite_id IS DISTINCT FROM p_expected_satellite_id THEN
        RAISE EXCEPTION 'Not saved: % changed this alert at % while you were editing it. Look at that version and edit again.',
            coalesce(v_current.changed_by, 'somebody'), to_char(coalesce(v_current.load_date, clock_timestamp()), 'YYYY-MM-DD HH24:MI:SS TZ')
            USING ERRCODE = 'serialization_failure';
    END IF;

    -- What is not named stays; a snooze ends with the version it was given to unless it is named again.
    v_row := jsonb_populate_record(v_current, p_values);
    IF v_row.warning_threshold IS NULL AND v_row.critical_threshold IS NULL THEN
        RAISE EXCEPTION 'An alert needs a warning or a critical threshold.' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO monitoring.alert_configuration_s (
        alert_config_hk, load_date, load_end_date, hash_diff, alert_name, alert_category, alert_query, warning_threshold,
        critical_threshold, alert_severity, is_active, notification_recipients, description, record_source,
        for_at_least_seconds, clear_after_seconds, repeat_minutes, escalate_minutes, escalation_recipients,
        snoozed_until, changed_by, change_note)
    VALUES (
        p_alert_config_hk, clock_timestamp(), NULL,
        sha256(convert_to((to_jsonb(v_row) - ARRAY['load_date', 'load_end_date', 'hash_diff', 'satellite_id', 'changed_by', 'change_note'])::text, 'UTF8')),
        v_row.alert_name, v_row.alert_category, v_row.alert_query, v_row.warning_threshold, v_row.critical_threshold,
        v_row.alert_severity, coalesce(v_row.is_active, true), v_row.notification_recipients, v_row.description, 'LOCK_MONITOR',
        v_row.for_at_least_seconds, v_row.clear_after_seconds, v_row.repeat_minutes, v_row.escalate_minutes,
        v_row.escalation_recipients, v_row.snoozed_until, left(p_changed_by, 150), left(p_change_note, 2000))
    RETURNING satellite_id INTO v_satellite_id;
    RETURN v_satellite_id;
END
$function$;

COMMENT ON FUNCTION monitoring.save_alert_configuration(bytea, bigint, jsonb, text, text) IS
    'Writes the next version of an alert (or its first, with p_expected_satellite_id NULL) and returns its number. Refuses to overwrite a version the editor has not seen.';
REVOKE ALL ON FUNCTION monitoring.save_alert_configuration(bytea, bigint, jsonb, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION monitoring.save_alert_configuration(bytea, bigint, jsonb, text, text) TO lock_admin_role;
