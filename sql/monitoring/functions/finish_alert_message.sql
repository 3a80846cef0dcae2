-- Records how sending went. A failure is tried again later and later, at most eight times in about eight hours; a
-- recipient that fails three times in a row is dead until it answers, and the others of its alerts are told so once.
CREATE OR REPLACE FUNCTION monitoring.finish_alert_message(
    p_message_id bigint,
    p_attempt integer,
    p_started_at timestamptz,
    p_sent boolean,
    p_sentence text DEFAULT NULL
)
RETURNS text
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    c_waits CONSTANT interval[] := ARRAY['5 s', '20 s', '1 min', '5 min', '20 min', '1 h', '6 h']::interval[];
    v_now timestamptz := clock_timestamp();
    v_state text;
    v_message record;
    v_failures integer;
    v_reported timestamptz;
    v_other text;
BEGIN
    PERFORM lock_engine.require_writable('monitoring.finish_alert_message', false);
    v_state := CASE WHEN p_sent THEN 'sent' WHEN p_attempt > array_length(c_waits, 1) THEN 'failed' ELSE 'waiting' END;
    UPDATE monitoring.alert_message AS m
       SET state = v_state,
           sent_at = CASE WHEN p_sent THEN v_now END,
           due_at = CASE WHEN v_state = 'waiting' THEN v_now + c_waits[p_attempt] ELSE m.due_at END
     WHERE m.message_id = p_message_id AND m.state = 'sending' AND m.attempts = p_attempt
    RETURNING m.recipient, m.kind INTO v_message;
    IF NOT FOUND THEN
        -- The claim had run out and somebody else has it now: only the attempt is recorded.
        v_state := 'superseded';
    END IF;
    INSERT INTO monitoring.alert_delivery (message_id, attempt, started_at, finished_at, outcome, sentence)
    VALUES (p_message_id, p_attempt, p_started_at, v_now, CASE WHEN p_sent THEN 'sent' ELSE 'failed' END, left(p_sentence, 1000));
    IF v_state = 'superseded' THEN
        RETURN v_state;
    END IF;

    IF p_sent THEN
        INSERT INTO monitoring.alert_channel AS c (recipient, last_success_at)
        VALUES (v_message.recipient, v_now)
            ON CONFLICT (recipient) DO UPDATE
           SET consecutive_failures = 0, failing_since = NULL, next_try_at = NULL, reported_at = NULL,
               last_success_at = excluded.last_success_at;
        RETURN v_state;
    END IF;

    INSERT INTO monitoring.alert_channel AS c (recipient, consecutive_failures, failing_since, last_failure_at, last_error, next_try_at)
    VALUES (v_message.recipient, 1, v_now, v_now, left(p_sentence, 1000), v_now + c_waits[1])
        ON CONFLICT (recipient) DO UPDATE
       SET consecutive_failures = c.consecutive_failures + 1,
           failing_since = coalesce(c.failing_since, excluded.failing_since),
           last_failure_at = excluded.last_failure_at,
           last_error = excluded.last_error,
           next_try_at = v_now + c_waits[least(c.consecutive_failures + 1, 4)]
    RETURNING c.consecutive_failures, c.reported_at INTO v_failures, v_reported;

    IF v_failures >= 3 AND v_reported IS NULL THEN
        FOR v_other IN
            SELECT DISTINCT o.recipient
              FROM monitoring.alert_configuration_s AS s
             CROSS JOIN LATERAL unnest(s.notification_recipients || coalesce(s.escalation_recipients, '{}')) AS o (recipient)
              LEFT JOIN monitoring.alert_channel AS c ON c.recipient = o.recipient
             WHERE s.load_end_date IS NULL AND s.is_active
               AND o.recipient <> v_message.recipient
               AND coalesce(c.consecutive_failures, 0) < 3
        LOOP
            PERFORM monitoring.add_alert_message(NULL, NULL, 'channel', v_other,
                format('channel:%s:%s:%s', p_message_id, p_attempt, v_other),
                jsonb_build_object('name', v_message.recipient, 'failing_since',
                    (SELECT c.failing_since FROM monitoring.alert_channel AS c WHERE c.recipient = v_message.recipient),
                    'failures', v_failures, 'sentence', left(p_sentence, 1000)));
        END LOOP;
        UPDATE monitoring.alert_channel AS c SET reported_at = v_now WHERE c.recipient = v_message.recipient;
    END IF;
    RETURN v_state;
END
$function$;

COMMENT ON FUNCTION monitoring.finish_alert_message(bigint, integer, timestamptz, boolean, text) IS
    'Records an attempt to send: sent, or tried again later, or given up. Reports a recipient that keeps failing to the others.';
REVOKE ALL ON FUNCTION monitoring.finish_alert_message(bigint, integer, timestamptz, boolean, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION monitoring.finish_alert_message(bigint, integer, timestamptz, boolean, text) TO lock_admin_role;
