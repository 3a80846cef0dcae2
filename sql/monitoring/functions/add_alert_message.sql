-- Puts a message into the outbox. Over the limit per recipient and minute it is held, and told later in one summary.
CREATE OR REPLACE FUNCTION monitoring.add_alert_message(
    p_alert_event_hk bytea,
    p_alert_config_hk bytea,
    p_kind text,
    p_recipient text,
    p_dedupe_key text,
    p_context jsonb,
    p_limit_per_minute integer DEFAULT 10
)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_message_id bigint;
    v_recent integer;
BEGIN
    PERFORM lock_engine.require_writable('monitoring.add_alert_message', false);
    -- A person pressed the button for a test: that one is never held.
    IF p_kind <> 'test' THEN
        SELECT count(*) INTO v_recent
          FROM monitoring.alert_message AS m
         WHERE m.recipient = p_recipient
           AND m.created_at > clock_timestamp() - interval '1 minute'
           AND m.state IN ('waiting', 'sending', 'sent', 'failed');
    END IF;
    INSERT INTO monitoring.alert_message (alert_event_hk, alert_config_hk, kind, recipient, dedupe_key, context, state)
    VALUES (p_alert_event_hk, p_alert_config_hk, p_kind, p_recipient, p_dedupe_key, p_context,
            CASE WHEN v_recent >= p_limit_per_minute THEN 'held' ELSE 'waiting' END)
        ON CONFLICT (dedupe_key) DO NOTHING
    RETURNING message_id INTO v_message_id;
    RETURN v_message_id;
END
$function$;

COMMENT ON FUNCTION monitoring.add_alert_message(bytea, bytea, text, text, text, jsonb, integer) IS
    'Puts one message for one recipient into the outbox; held if that recipient has had the limit of the minute. NULL: it was there already.';
REVOKE ALL ON FUNCTION monitoring.add_alert_message(bytea, bytea, text, text, text, jsonb, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION monitoring.add_alert_message(bytea, bytea, text, text, text, jsonb, integer) TO lock_admin_role;
