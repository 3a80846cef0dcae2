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
    recent jsonb NOT NULL DEFAULT '[]',
    whole_sentence text
) WITH (fillfactor = 50);

-- Up to release candidate 1 the sentence of a query that failed was PostgreSQL's own, which quotes what the query has read.
-- It stood in every version of the event, for everybody: those sentences are taken out once, in the transaction of the update.
DO $update$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
                WHERE a.attrelid = 'monitoring.alert_state'::pg_catalog.regclass AND a.attname = 'whole_sentence') THEN
        RETURN;
    END IF;
    ALTER TABLE monitoring.alert_state ADD COLUMN whole_sentence text;
    UPDATE monitoring.alert_state AS s SET whole_sentence = s.sentence, sentence = 'The query failed.' WHERE s.sentence IS NOT NULL;
    UPDATE monitoring.alert_event_s AS e
       SET sentence = 'The query failed; PostgreSQL''s sentence, recorded by an earlier release, could hold texts of other sessions and was taken out.'
     WHERE e.sentence IS NOT NULL
       AND e.sentence !~ '^(The query (took longer than|returned) |PostgreSQL did not answer in time)';
END
$update$;

COMMENT ON TABLE monitoring.alert_state IS 'Where the evaluation of each alert stands: confirmed level, level waiting to be confirmed, last value.';
COMMENT ON COLUMN monitoring.alert_state.pending_level IS 'A level that has been seen since pending_since, but not yet for long enough.';
COMMENT ON COLUMN monitoring.alert_state.sentence IS 'Why the query gave no number, as everybody may read it; NULL if it did.';
COMMENT ON COLUMN monitoring.alert_state.recent IS 'Last values for the small chart: [[epoch seconds, value or null], ...], at most 60, oldest first.';
COMMENT ON COLUMN monitoring.alert_state.whole_sentence IS 'PostgreSQL''s own sentence, which can quote texts of other sessions; NULL where sentence says it all.';
GRANT SELECT ON monitoring.alert_state TO lock_monitoring_role;
GRANT INSERT, UPDATE ON monitoring.alert_state TO lock_admin_role;
GRANT SELECT ON monitoring.alert_state TO lock_vault_owner;
