-- auth.tenant_h and auth.user_h need not have an index on their business keys, so each answer is kept for a while.
CREATE TABLE IF NOT EXISTS lock_engine.tenant_claim (
  claim text PRIMARY KEY,
  tenant_hk bytea,
  looked_up_at timestamptz NOT NULL
);
COMMENT ON TABLE lock_engine.tenant_claim IS
  'Which tenant a user name (u:) or a tenant tag (t:) stands for, as lock_engine.ask_site() found; NULL = none. all: when all names were read.';
GRANT SELECT, INSERT, UPDATE, DELETE ON lock_engine.tenant_claim TO lock_vault_owner;
