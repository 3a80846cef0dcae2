CREATE TABLE IF NOT EXISTS lock_admin.policy_decision (
    decision_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    policy_hk     bytea NOT NULL REFERENCES lock_admin.policy_h,
    version       integer NOT NULL,
    mode          text NOT NULL,
    decided_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    pid           integer NOT NULL,
    backend_start timestamptz NOT NULL,
    xact_start    timestamptz,
    decision      text NOT NULL,
    why           text NOT NULL,
    severity      text,
    blocked_total integer,
    blocked_for_seconds numeric,
    action_id     bigint,
    facts         jsonb
);
CREATE UNIQUE INDEX IF NOT EXISTS uq_policy_decision ON lock_admin.policy_decision
    (policy_hk, version, mode, pid, backend_start, coalesce(xact_start, '-infinity'::timestamptz), decision)
    WHERE action_id IS NULL;
CREATE INDEX IF NOT EXISTS idx_policy_decision_time ON lock_admin.policy_decision (policy_hk, decided_at DESC);
COMMENT ON TABLE lock_admin.policy_decision IS
    'What a policy decided about a session: would act (dry run), spared and why, or acted (action_id). Once for each session, transaction and decision.';
