-- Append-only: what the door was asked, what it did and what came of it. One row a step, steps of one action share
-- action_id. Owned by a role that owns nothing else; the door's owner may INSERT and SELECT, nobody may change a row.
CREATE SEQUENCE IF NOT EXISTS lock_admin.action_id_seq AS bigint;

CREATE TABLE IF NOT EXISTS lock_admin.action_log (
    log_id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action_id            bigint NOT NULL DEFAULT nextval('lock_admin.action_id_seq'),
    step                 text NOT NULL CHECK (step IN ('request', 'signal', 'outcome', 'refusal', 'later')),
    logged_at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    xact_id              xid8 NOT NULL DEFAULT pg_current_xact_id(),
    logged_by            text NOT NULL DEFAULT session_user,
    acting_for           text,
    origin               text NOT NULL,
    policy_hk            bytea,
    policy_version       integer,
    action               text,
    target_pid           integer,
    target_backend_start timestamptz,
    target_xact_start    timestamptz,
    target_query_start   timestamptz,
    target_user          text,
    target_application   text,
    explicit             boolean,
    reason               text,
    facts                jsonb,
    prediction           jsonb,
    outcome              text,
    code                 text,
    message              text,
    waited_ms            numeric,
    recovery_ms          numeric,
    comparison           jsonb
);

CREATE INDEX IF NOT EXISTS idx_action_log_action_id ON lock_admin.action_log (action_id, step);
CREATE INDEX IF NOT EXISTS idx_action_log_signal_time ON lock_admin.action_log (logged_at) WHERE step = 'signal';
CREATE INDEX IF NOT EXISTS idx_action_log_request_time ON lock_admin.action_log (logged_at DESC) WHERE step = 'request';
CREATE INDEX IF NOT EXISTS idx_action_log_target ON lock_admin.action_log (target_pid, target_backend_start);
CREATE INDEX IF NOT EXISTS idx_action_log_policy ON lock_admin.action_log (policy_hk, logged_at DESC)
    WHERE policy_hk IS NOT NULL;
-- An action is carried out once, whoever tries and however many at once.
CREATE UNIQUE INDEX IF NOT EXISTS uq_action_log_signal ON lock_admin.action_log (action_id) WHERE step = 'signal';
CREATE UNIQUE INDEX IF NOT EXISTS uq_action_log_request ON lock_admin.action_log (action_id) WHERE step = 'request';

COMMENT ON TABLE lock_admin.action_log IS
    'Every attempt to stop a session: request, signal, outcome or refusal, what was seen later. Append-only, exempt from retention.';
COMMENT ON COLUMN lock_admin.action_log.step IS
    'request: asked; signal: about to be signalled; outcome: what came of it; refusal: not signalled; later: seen afterwards.';
COMMENT ON COLUMN lock_admin.action_log.xact_id IS 'The transaction that wrote the row: a request is carried out only once it is committed.';
COMMENT ON COLUMN lock_admin.action_log.logged_by IS 'The login (session_user), which nobody can choose.';
COMMENT ON COLUMN lock_admin.action_log.acting_for IS 'The person, as the application says; a claim.';
COMMENT ON COLUMN lock_admin.action_log.origin IS 'admin, command, sql, policy or auto_resolve.';
COMMENT ON COLUMN lock_admin.action_log.target_backend_start IS 'With the pid, the identity of the session that is meant.';
COMMENT ON COLUMN lock_admin.action_log.target_xact_start IS 'Set where one transaction is meant: another one of the same session is left alone.';
COMMENT ON COLUMN lock_admin.action_log.target_query_start IS 'The statement to cancel; a later one of the same session is left alone.';
COMMENT ON COLUMN lock_admin.action_log.explicit IS 'true: stop it also if it blocks nobody.';
COMMENT ON COLUMN lock_admin.action_log.prediction IS 'lock_admin.simulate() at the time of the request.';
COMMENT ON COLUMN lock_admin.action_log.outcome IS 'terminated, cancelled, already gone, refused, not permitted, still there.';
COMMENT ON COLUMN lock_admin.action_log.code IS 'Why refused; the codes stand in lock_admin.refusal_message().';
COMMENT ON COLUMN lock_admin.action_log.waited_ms IS 'Milliseconds from the signal until the session was seen gone or its statement over.';
COMMENT ON COLUMN lock_admin.action_log.recovery_ms IS 'Milliseconds from the signal until all whose release was predicted were seen running.';
COMMENT ON COLUMN lock_admin.action_log.comparison IS 'The prediction against what was seen.';
-- The vault's functions read here how a wait or an episode ended.
GRANT SELECT ON lock_admin.action_log TO lock_vault_owner;
