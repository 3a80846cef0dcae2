CREATE TABLE IF NOT EXISTS lock_admin.policy_backtest (
    backtest_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    policy_hk          bytea NOT NULL REFERENCES lock_admin.policy_h,
    version            integer NOT NULL,
    ran_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    ran_by             text NOT NULL,
    period_from        timestamptz NOT NULL,
    period_to          timestamptz NOT NULL,
    episodes           integer NOT NULL,
    stops              integer NOT NULL,
    saved_seconds      numeric NOT NULL,
    ended_soon_anyway  integer NOT NULL,
    held_back_by_limit integer NOT NULL,
    results            jsonb NOT NULL
);
ALTER TABLE lock_admin.policy_backtest ADD COLUMN IF NOT EXISTS watched_share numeric;
CREATE INDEX IF NOT EXISTS idx_policy_backtest_policy ON lock_admin.policy_backtest (policy_hk, version, ran_at DESC);
COMMENT ON TABLE lock_admin.policy_backtest IS 'Replays of a version of a policy over the stored history.';
COMMENT ON COLUMN lock_admin.policy_backtest.saved_seconds IS 'Blocked seconds (waiting sessions times time) after the moments at which it would have acted.';
COMMENT ON COLUMN lock_admin.policy_backtest.ended_soon_anyway IS 'Sessions that ended by themselves within 5 seconds of that moment.';
COMMENT ON COLUMN lock_admin.policy_backtest.watched_share IS
    'Which part of the period was watched, 0 to 1; the rest says nothing about the policy. NULL: from a release that did not know.';
