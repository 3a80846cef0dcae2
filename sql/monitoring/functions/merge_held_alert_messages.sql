-- Held messages become one summary per recipient as soon as that recipient's last minute has room again.
CREATE OR REPLACE FUNCTION monitoring.merge_held_alert_messages(p_limit_per_minute integer DEFAULT 10)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    v_recipient text;
    v_ids bigint[];
    v_lines jsonb;
    v_digest bigint;
    v_made integer := 0;
BEGIN
    PERFORM lock_engine.require_writable('monitoring.merge_held_alert_messages', false);
    FOR v_recipient IN
        SELECT h.recipient
          FROM monitoring.alert_message AS h
         WHERE h.state = 'held'
         GROUP BY h.recipient
        HAVING (SELECT count(*) FROM monitoring.alert_message AS m
                 WHERE m.recipient = h.recipient AND m.created_at > clock_timestamp() - interval '1 minute'
                   AND m.state IN ('waiting', 'sending', 'sent', 'failed')) < p_limit_per_minute
    LOOP
        SELECT array_agg(h.message_id ORDER BY h.message_id),
               jsonb_agg(jsonb_build_object('kind', h.kind, 'name', h.context ->> 'name', 'level', h.context ->> 'level',
                                            'value', h.context ->> 'value', 'at', h.created_at)
                         ORDER BY h.message_id)
          INTO v_ids, v_lines
          FROM monitoring.alert_message AS h
         WHERE h.state = 'held' AND h.recipient = v_recipient;
        INSERT INTO monitoring.alert_message (kind, recipient, dedupe_key, context)
        VALUES ('digest', v_recipient, 'digest:' || v_ids[1] || ':' || v_recipient,
                jsonb_build_object('held', jsonb_array_length(v_lines), 'lines', v_lines))
        RETURNING message_id INTO v_digest;
        UPDATE monitoring.alert_message AS h
           SET state = 'merged', merged_into = v_digest
         WHERE h.message_id = ANY (v_ids);
        v_made := v_made + 1;
    END LOOP;
    RETURN v_made;
END
$function$;

COMMENT ON FUNCTION monitoring.merge_held_alert_messages(integer) IS
    'Turns the held messages of each recipient whose last minute has room into one summary. Returns how many summaries.';
REVOKE ALL ON FUNCTION monitoring.merge_held_alert_messages(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION monitoring.merge_held_alert_messages(integer) TO lock_admin_role;
