-- What people do about an event: acknowledge, snooze, resolve. Pages, command and psql come through here.
CREATE OR REPLACE FUNCTION monitoring.act_on_alert_event(
    p_alert_event_hk bytea,
    p_action text,
    p_by text,
    p_note text DEFAULT NULL,
    p_until timestamptz DEFAULT NULL
)
RETURNS TABLE (done boolean, sentence text)
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_event record;
    v_fields jsonb;
    v_written bigint;
BEGIN
    PERFORM lock_engine.require_writable('monitoring.act_on_alert_event', false);
    IF coalesce(btrim(p_by), '') = '' THEN
        RAISE EXCEPTION 'Say who does it: p_by is empty.' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF p_action NOT IN ('acknowledge', 'snooze', 'resolve') THEN
        RAISE EXCEPTION 'An alert event can be acknowledged, snoozed or resolved; % is none of these.', quote_nullable(p_action)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF p_action = 'snooze' AND (p_until IS NULL OR p_until <= v_now OR p_until > v_now + interval '30 days') THEN
        RAISE EXCEPTION 'Say until when to snooze: a moment in the next 30 days.' USING ERRCODE = 'invalid_parameter_value';
    END IF;

    FOR v_attempt IN 1..3 LOOP
        SELECT s.* INTO v_event
          FROM monitoring.alert_event_s AS s
         WHERE s.alert_event_hk = p_alert_event_hk AND s.load_end_date IS NULL;
        IF NOT FOUND THEN
            done := false;
            sentence := 'There is no such alert event.';
            RETURN NEXT;
            RETURN;
        END IF;
        IF v_event.event_state = 'resolved' THEN
            done := false;
            sentence := format('It was already resolved at %s by %s.', to_char(v_event.resolved_at, 'YYYY-MM-DD HH24:MI:SS TZ'),
                               coalesce(v_event.resolved_by, 'itself'));
            RETURN NEXT;
            RETURN;
        END IF;
        v_fields := CASE p_action
            WHEN 'acknowledge' THEN jsonb_build_object('event_state', 'acknowledged', 'acknowledged_at', v_now,
                                                       'acknowledged_by', p_by, 'snoozed_until', NULL)
            WHEN 'snooze' THEN jsonb_build_object('event_state', 'snoozed', 'snoozed_until', p_until)
            ELSE jsonb_build_object('event_state', 'resolved', 'resolved_at', v_now, 'resolved_by', p_by)
        END;
        IF coalesce(btrim(p_note), '') <> '' THEN
            v_fields := v_fields || jsonb_build_object('note', left(btrim(p_note), 2000));
        END IF;
        SELECT w.satellite_id INTO v_written
          FROM monitoring.write_alert_event(v_event.alert_config_hk, p_alert_event_hk, v_event.satellite_id, v_fields, p_by) AS w;
        IF FOUND THEN
            done := true;
            sentence := CASE p_action
                WHEN 'acknowledge' THEN format('Acknowledged by %s.', p_by)
                WHEN 'snooze' THEN format('Snoozed by %s until %s.', p_by, to_char(p_until, 'YYYY-MM-DD HH24:MI:SS TZ'))
                ELSE format('Resolved by %s.', p_by)
            END;
            RETURN NEXT;
            RETURN;
        END IF;
    END LOOP;
    done := false;
    sentence := 'The event changed at the same moment; look at it again.';
    RETURN NEXT;
END
$function$;

COMMENT ON FUNCTION monitoring.act_on_alert_event(bytea, text, text, text, timestamptz) IS
    'Acknowledges, snoozes (until p_until) or resolves an alert event for p_by, with a note. Says in a sentence what came of it.';
REVOKE ALL ON FUNCTION monitoring.act_on_alert_event(bytea, text, text, text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION monitoring.act_on_alert_event(bytea, text, text, text, timestamptz) TO lock_admin_role;
