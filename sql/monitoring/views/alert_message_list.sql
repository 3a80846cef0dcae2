-- What was told, when and with what success. To whom is for administrators: here only by what way.
CREATE OR REPLACE VIEW monitoring.alert_message_list AS
SELECT m.message_id,
       encode(m.alert_event_hk, 'hex') AS event_key,
       encode(m.alert_config_hk, 'hex') AS alert_key,
       m.kind,
       CASE WHEN m.recipient LIKE 'channel:%' THEN 'channel' ELSE 'e-mail' END AS sent_by,
       m.state,
       m.created_at,
       m.due_at,
       m.attempts,
       m.sent_at,
       m.merged_into,
       d.finished_at AS last_attempt_at,
       d.outcome AS last_outcome,
       d.sentence AS last_sentence
  FROM monitoring.alert_message AS m
  LEFT JOIN LATERAL (
       SELECT x.finished_at, x.outcome, x.sentence
         FROM monitoring.alert_delivery AS x
        WHERE x.message_id = m.message_id
        ORDER BY x.delivery_id DESC
        LIMIT 1) AS d ON true;

COMMENT ON VIEW monitoring.alert_message_list IS 'Alert messages and how their last attempt went, without recipients.';
GRANT SELECT ON monitoring.alert_message_list TO lock_monitoring_role;
ALTER VIEW monitoring.alert_message_list OWNER TO lock_vault_owner;
