-- The rules of a policy. Editing writes a new version; whether it acts stands in policy_mode_s.
CREATE TABLE IF NOT EXISTS lock_admin.policy_s (
    policy_hk              bytea NOT NULL REFERENCES lock_admin.policy_h,
    load_date              timestamptz NOT NULL DEFAULT clock_timestamp(),
    load_end_date          timestamptz,
    hash_diff              bytea NOT NULL,
    version                integer NOT NULL,
    description            text NOT NULL DEFAULT '',
    action                 text NOT NULL CHECK (action IN ('cancel', 'terminate', 'cancel_then_terminate')),
    user_patterns          text[] NOT NULL DEFAULT '{}',
    application_patterns   text[] NOT NULL DEFAULT '{}',
    database_patterns      text[] NOT NULL DEFAULT '{}',
    tenant_patterns        text[] NOT NULL DEFAULT '{}',
    relation_patterns      text[] NOT NULL DEFAULT '{}',
    kinds                  text[] NOT NULL DEFAULT '{}',
    min_severity           text NOT NULL DEFAULT 'HIGH' CHECK (min_severity IN ('LOW', 'MEDIUM', 'HIGH', 'CRITICAL')),
    min_blocked_seconds    numeric NOT NULL CHECK (min_blocked_seconds >= 1),
    min_blocked_sessions   integer NOT NULL DEFAULT 1 CHECK (min_blocked_sessions >= 1),
    time_windows           jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(time_windows) = 'array'),
    pause_windows          jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(pause_windows) = 'array'),
    protected_users        text[] NOT NULL DEFAULT '{}',
    protected_applications jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(protected_applications) = 'array'),
    max_per_hour           integer NOT NULL DEFAULT 5 CHECK (max_per_hour BETWEEN 1 AND 1000),
    max_per_run            integer NOT NULL DEFAULT 1 CHECK (max_per_run BETWEEN 1 AND 5),
    grace_seconds          numeric NOT NULL DEFAULT 10 CHECK (grace_seconds BETWEEN 0 AND 3600),
    breaker_failures       integer NOT NULL DEFAULT 3 CHECK (breaker_failures BETWEEN 1 AND 100),
    breaker_minutes        integer NOT NULL DEFAULT 5 CHECK (breaker_minutes BETWEEN 1 AND 1440),
    edited_by              text NOT NULL,
    edited_login           text NOT NULL DEFAULT session_user,
    record_source          text NOT NULL,
    PRIMARY KEY (policy_hk, load_date)
);
ALTER TABLE lock_admin.policy_s ADD COLUMN IF NOT EXISTS edited_person text;
CREATE UNIQUE INDEX IF NOT EXISTS uq_policy_s_open ON lock_admin.policy_s (policy_hk) WHERE load_end_date IS NULL;
CREATE UNIQUE INDEX IF NOT EXISTS uq_policy_s_version ON lock_admin.policy_s (policy_hk, version);

COMMENT ON TABLE lock_admin.policy_s IS 'Satellite: the rules of a policy, one row a version. An empty list of patterns means any.';
COMMENT ON COLUMN lock_admin.policy_s.edited_person IS
    'Who that was by lock_admin.person(), at the time. NULL: an earlier release, which took any name.';
COMMENT ON COLUMN lock_admin.policy_s.application_patterns IS 'Application names are claims: they count only together with user_patterns.';
COMMENT ON COLUMN lock_admin.policy_s.tenant_patterns IS 'Tenant business keys; a tenant tag is a claim and counts only together with user_patterns.';
COMMENT ON COLUMN lock_admin.policy_s.relation_patterns IS 'schema.table that somebody behind the session waits for; * stands for anything.';
COMMENT ON COLUMN lock_admin.policy_s.kinds IS 'Kinds of blocker as in lock_catalog.waits_for(), for example idle_in_transaction.';
COMMENT ON COLUMN lock_admin.policy_s.min_blocked_seconds IS 'How long somebody must have been waiting behind the session.';
COMMENT ON COLUMN lock_admin.policy_s.time_windows IS
    'Acts only within these: [{"days": [1,2,3,4,5], "from": "08:00", "to": "18:00", "zone": "Europe/Berlin"}]; ISO days, empty: always.';
COMMENT ON COLUMN lock_admin.policy_s.pause_windows IS 'Never acts within these (maintenance), same form as time_windows.';
COMMENT ON COLUMN lock_admin.policy_s.breaker_failures IS 'So many stops in a row that did not help disarm the policy.';
COMMENT ON COLUMN lock_admin.policy_s.breaker_minutes IS 'A stop did not help if the same application and user is in the way again within so many minutes.';
