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
ALTER TABLE lock_admin.policy_backtest ADD COLUMN IF NOT EXISTS freed_at_once integer;
ALTER TABLE lock_admin.policy_backtest ADD COLUMN IF NOT EXISTS frees_nobody integer;
ALTER TABLE lock_admin.policy_backtest ADD COLUMN IF NOT EXISTS effect_not_known integer;
CREATE INDEX IF NOT EXISTS idx_policy_backtest_policy ON lock_admin.policy_backtest (policy_hk, version, ran_at DESC);
COMMENT ON TABLE lock_admin.policy_backtest IS 'Replays of a version of a policy over the stored history.';
COMMENT ON COLUMN lock_admin.policy_backtest.saved_seconds IS 'Seconds that those freed at once went on waiting after the moments at which it would have acted; where freed_at_once is NULL, by an '
    'earlier release, those of all that stood behind.';
COMMENT ON COLUMN lock_admin.policy_backtest.ended_soon_anyway IS 'Sessions that ended by themselves within 5 seconds of that moment.';
COMMENT ON COLUMN lock_admin.policy_backtest.watched_share IS
    'Which part of the period was watched, 0 to 1; the rest says nothing about the policy. NULL: from a release that did not know.';
COMMENT ON COLUMN lock_admin.policy_backtest.freed_at_once IS 'Sessions that would have gone on at once. NULL: from a release that did not ask.';
COMMENT ON COLUMN lock_admin.policy_backtest.frees_nobody IS 'Sessions that it would have spared, as their end frees nobody: those behind wait for others, too.';
COMMENT ON COLUMN lock_admin.policy_backtest.effect_not_known IS 'Stops of which it is not stored who waited behind; they add nothing to saved_seconds.';
