-- Takes one message to send. Committed before sending, so of all that waits at most the one in flight is sent twice
-- when its sender dies: its claim runs out and it is taken again.
CREATE OR REPLACE FUNCTION monitoring.claim_alert_message(p_lease_seconds integer DEFAULT 60)
RETURNS TABLE (message_id bigint, alert_event_hk bytea, kind text, recipient text, context jsonb, attempt integer, created_at timestamptz)
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_message monitoring.alert_message;
BEGIN
    PERFORM lock_engine.require_writable('monitoring.claim_alert_message', false);
    IF lock_engine.disarmed_because() IS NOT NULL THEN
        RETURN;
    END IF;
    SELECT m.* INTO v_message
      FROM monitoring.alert_message AS m
      LEFT JOIN monitoring.alert_channel AS c ON c.recipient = m.recipient
     WHERE (m.state = 'waiting' AND m.due_at <= v_now
            AND (c.next_try_at IS NULL OR c.next_try_at <= v_now OR m.kind = 'test'))
        OR (m.state = 'sending' AND m.claimed_at < v_now - make_interval(secs => p_lease_seconds))
     ORDER BY coalesce(c.consecutive_failures, 0), m.attempts, m.message_id
     LIMIT 1
       FOR NO KEY UPDATE OF m SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF v_message.state = 'sending' THEN
        INSERT INTO monitoring.alert_delivery (message_id, attempt, started_at, outcome, sentence)
        VALUES (v_message.message_id, v_message.attempts, v_message.claimed_at, 'unknown',
                'The sender ended before it could say whether it was sent; it is sent again.');
    END IF;
    UPDATE monitoring.alert_message AS m
       SET state = 'sending', claimed_at = v_now, attempts = m.attempts + 1
     WHERE m.message_id = v_message.message_id;
    message_id := v_message.message_id;
    alert_event_hk := v_message.alert_event_hk;
    kind := v_message.kind;
    recipient := v_message.recipient;
    context := v_message.context;
    attempt := v_message.attempts + 1;
    created_at := v_message.created_at;
    RETURN NEXT;
END
$function$;

COMMENT ON FUNCTION monitoring.claim_alert_message(integer) IS
    'Takes one message that is due (recipients that answer first) and marks it as being sent. Commit before sending.';
REVOKE ALL ON FUNCTION monitoring.claim_alert_message(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION monitoring.claim_alert_message(integer) TO lock_admin_role;
