CREATE TABLE IF NOT EXISTS lock_admin.policy_mode_s (
    policy_hk     bytea NOT NULL REFERENCES lock_admin.policy_h,
    load_date     timestamptz NOT NULL DEFAULT clock_timestamp(),
    load_end_date timestamptz,
    mode          text NOT NULL CHECK (mode IN ('off', 'dry_run', 'armed')),
    version       integer NOT NULL,
    reason        text NOT NULL,
    evidence      text,
    by_breaker    boolean NOT NULL DEFAULT false,
    changed_by    text NOT NULL,
    changed_login text NOT NULL DEFAULT session_user,
    PRIMARY KEY (policy_hk, load_date)
);
ALTER TABLE lock_admin.policy_mode_s ADD COLUMN IF NOT EXISTS changed_person text;
CREATE UNIQUE INDEX IF NOT EXISTS uq_policy_mode_s_open ON lock_admin.policy_mode_s (policy_hk) WHERE load_end_date IS NULL;
CREATE INDEX IF NOT EXISTS idx_policy_mode_s_active ON lock_admin.policy_mode_s (mode) WHERE load_end_date IS NULL AND mode <> 'off';

COMMENT ON TABLE lock_admin.policy_mode_s IS 'Satellite: off, dry run or armed, for which version of the rules, by whom and why.';
COMMENT ON COLUMN lock_admin.policy_mode_s.changed_person IS
    'Who that was by lock_admin.person(), at the time. NULL: an earlier release, or no person.';
COMMENT ON COLUMN lock_admin.policy_mode_s.evidence IS 'The back-test or dry run that allowed arming.';
COMMENT ON COLUMN lock_admin.policy_mode_s.by_breaker IS 'true: the circuit breaker disarmed it because stopping did not help.';
