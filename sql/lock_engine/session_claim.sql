-- The one owner of which tenant a session claims to work for: what its application name says (lock_engine.claimed_tenant), else the first of
-- the site's patterns that fits. A claim is what the session says of itself, never a proof. p_schema_name: of the relation that it waits
-- for. Inlined, as it is asked for each session that is shown.
CREATE OR REPLACE FUNCTION lock_engine.session_claim(
  p_patterns text[], p_application_name text, p_user_name text, p_database_name text, p_schema_name text)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
  SELECT coalesce(lock_engine.claimed_tenant(p_application_name),
                  CASE WHEN pg_catalog.cardinality(p_patterns) OPERATOR(pg_catalog.>) 0
                       THEN lock_engine.claim_by_pattern(p_patterns, p_application_name, p_user_name, p_database_name, p_schema_name) END)
$$;
COMMENT ON FUNCTION lock_engine.session_claim(text[], text, text, text, text) IS
  'The tenant that a session claims by its application name (tenant=), or by the first of these patterns (lock_engine.claim_patterns) that fits. '
  'NULL without a claim.';
GRANT EXECUTE ON FUNCTION lock_engine.session_claim(text[], text, text, text, text) TO lock_monitoring_role;
