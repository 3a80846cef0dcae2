-- The outbox: a message is stored in the transaction of the change it tells of, and sent by another process.
CREATE TABLE IF NOT EXISTS monitoring.alert_message (
    message_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_event_hk bytea,
    alert_config_hk bytea,
    kind character varying(20) NOT NULL
        CHECK (kind IN ('raised', 'worse', 'reminder', 'escalated', 'resolved', 'test', 'channel', 'digest')),
    recipient text NOT NULL,
    dedupe_key text NOT NULL UNIQUE,
    context jsonb NOT NULL,
    state character varying(20) NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'sending', 'sent', 'failed', 'held', 'merged')),
    created_at timestamp with time zone NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    due_at timestamp with time zone NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    attempts integer NOT NULL DEFAULT 0,
    claimed_at timestamp with time zone,
    sent_at timestamp with time zone,
    merged_into bigint
);

CREATE INDEX IF NOT EXISTS idx_alert_message_open ON monitoring.alert_message (due_at) WHERE state IN ('waiting', 'sending');
CREATE INDEX IF NOT EXISTS idx_alert_message_held ON monitoring.alert_message (recipient) WHERE state = 'held';
CREATE INDEX IF NOT EXISTS idx_alert_message_recipient ON monitoring.alert_message (recipient, created_at DESC);
CREATE INDEX IF NOT EXISTS idx_alert_message_event ON monitoring.alert_message (alert_event_hk, message_id);

COMMENT ON TABLE monitoring.alert_message IS 'Outbox of alert messages, one row per message and recipient.';
COMMENT ON COLUMN monitoring.alert_message.dedupe_key IS 'What makes the message one: event, kind, level or number, recipient.';
COMMENT ON COLUMN monitoring.alert_message.context IS 'What was known when it was decided; literals of queries already hidden where they have to be.';
COMMENT ON COLUMN monitoring.alert_message.state IS
    'waiting, sending (claimed), sent, failed (given up), held (over the limit per minute), merged (told in the summary merged_into).';
-- Viewers see that a message went out, not to whom.
GRANT SELECT (message_id, alert_event_hk, alert_config_hk, kind, state, created_at, due_at, attempts, claimed_at, sent_at, merged_into)
    ON monitoring.alert_message TO lock_monitoring_role;
GRANT SELECT, INSERT, UPDATE (state, due_at, attempts, claimed_at, sent_at, merged_into) ON monitoring.alert_message TO lock_admin_role;
GRANT SELECT ON monitoring.alert_message TO lock_vault_owner;
