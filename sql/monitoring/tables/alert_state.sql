-- Where the evaluation of each alert stands. Not history: one row per alert, rewritten when something changed and
-- otherwise once a minute (every 15 s while a value changes), so that a quiet evaluation writes nothing.
CREATE TABLE IF NOT EXISTS monitoring.alert_state (
    alert_config_hk bytea PRIMARY KEY,
    level character varying(20) NOT NULL DEFAULT 'ok' CHECK (level IN ('ok', 'warning', 'error', 'critical')),
    level_since timestamp with time zone NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    pending_level character varying(20) CHECK (pending_level IN ('ok', 'warning', 'error', 'critical')),
    pending_since timestamp with time zone,
    value numeric,
    sentence text,
    evaluated_at timestamp with time zone,
    evaluation_ms numeric(12,3),
    recent jsonb NOT NULL DEFAULT '[]'
) WITH (fillfactor = 50);

COMMENT ON TABLE monitoring.alert_state IS 'Where the evaluation of each alert stands: confirmed level, level waiting to be confirmed, last value.';
COMMENT ON COLUMN monitoring.alert_state.pending_level IS 'A level that has been seen since pending_since, but not yet for long enough.';
COMMENT ON COLUMN monitoring.alert_state.sentence IS 'Why the query gave no number, in PostgreSQL''s words; NULL if it did.';
COMMENT ON COLUMN monitoring.alert_state.recent IS 'Last values for the small chart: [[epoch seconds, value or null], ...], at most 60, oldest first.';
GRANT SELECT ON monitoring.alert_state TO lock_monitoring_role;
GRANT INSERT, UPDATE ON monitoring.alert_state TO lock_admin_role;
GRANT SELECT ON monitoring.alert_state TO lock_vault_owner;
