-- Retention of the alerts' own records: events that ended, and messages, older than p_before; a batch at a time.
CREATE OR REPLACE FUNCTION monitoring.forget_alerts(p_before timestamptz, p_batch integer DEFAULT 5000)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_messages bigint[];
    v_events bytea[];
    v_count integer := 0;
    v_rows integer;
BEGIN
    IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
    PERFORM lock_engine.require_writable('monitoring.forget_alerts', false);
    IF p_before IS NULL OR p_before > clock_timestamp() - interval '1 day' THEN
        RAISE EXCEPTION 'Records of alerts are kept for a day at least.' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT array_agg(b.message_id) INTO v_messages
      FROM (SELECT m.message_id FROM monitoring.alert_message AS m
             WHERE m.created_at < p_before AND m.state IN ('sent', 'failed', 'merged')
             LIMIT p_batch) AS b;
    DELETE FROM monitoring.alert_delivery AS d WHERE d.message_id = ANY (v_messages);
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    v_count := v_count + v_rows;
    DELETE FROM monitoring.alert_message AS m WHERE m.message_id = ANY (v_messages);
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    v_count := v_count + v_rows;

    SELECT array_agg(b.alert_event_hk) INTO v_events
      FROM (SELECT s.alert_event_hk FROM monitoring.alert_event_s AS s
             WHERE s.load_end_date IS NULL AND s.event_state = 'resolved' AND s.resolved_at < p_before
             LIMIT p_batch) AS b;
    DELETE FROM monitoring.alert_event_s AS s WHERE s.alert_event_hk = ANY (v_events);
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    v_count := v_count + v_rows;
    DELETE FROM monitoring.alert_event_h AS h WHERE h.alert_event_hk = ANY (v_events);
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    RETURN v_count + v_rows;
END
$function$;

COMMENT ON FUNCTION monitoring.forget_alerts(timestamptz, integer) IS
    'Deletes alert events that were resolved, and messages that were settled, before p_before: one batch. Returns rows deleted; 0 when done.';
ALTER FUNCTION monitoring.forget_alerts(timestamptz, integer) OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION monitoring.forget_alerts(timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION monitoring.forget_alerts(timestamptz, integer) TO lock_admin_role;
GRANT SELECT, DELETE ON monitoring.alert_message, monitoring.alert_delivery, monitoring.alert_event_s, monitoring.alert_event_h
    TO lock_vault_owner;
