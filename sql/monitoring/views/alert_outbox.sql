-- One row: is there anything to send now? Read every few seconds, so it uses the outbox's partial indexes only.
CREATE OR REPLACE VIEW monitoring.alert_outbox AS
SELECT w.due,
       w.oldest_seconds,
       (SELECT count(*)::integer FROM monitoring.alert_message AS h WHERE h.state = 'held') AS held
  FROM (SELECT count(*)::integer AS due,
               coalesce(date_part('epoch', clock_timestamp() - min(
                   CASE WHEN m.state = 'sending' THEN m.claimed_at + interval '60 seconds'
                        ELSE greatest(m.due_at, c.next_try_at) END)), 0) AS oldest_seconds
          FROM monitoring.alert_message AS m
          LEFT JOIN monitoring.alert_channel AS c ON c.recipient = m.recipient
         WHERE (m.state = 'waiting' AND m.due_at <= clock_timestamp()
                AND (c.next_try_at IS NULL OR c.next_try_at <= clock_timestamp() OR m.kind = 'test'))
            OR (m.state = 'sending' AND m.claimed_at < clock_timestamp() - interval '60 seconds')) AS w;

COMMENT ON VIEW monitoring.alert_outbox IS
    'One row: messages that are due now, for how many seconds the oldest has been, and how many are held back.';
GRANT SELECT ON monitoring.alert_outbox TO lock_monitoring_role;
GRANT SELECT ON monitoring.alert_channel TO lock_vault_owner;
ALTER VIEW monitoring.alert_outbox OWNER TO lock_vault_owner;
