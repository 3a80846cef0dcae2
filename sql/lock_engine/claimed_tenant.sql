-- The one rule: a word of its own, so that neither mytenant=acme nor tenant=acme|job of a pooler is taken otherwise in one place
-- than in another. Inlined; most names hold no such word, and cost no regular expression.
CREATE OR REPLACE FUNCTION lock_engine.claimed_tenant(p_application_name text)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
  SELECT CASE WHEN pg_catalog.strpos(p_application_name, 'tenant=') OPERATOR(pg_catalog.>) 0
              THEN pg_catalog.substring(p_application_name, '(?:^|[\s;,|])tenant=([^\s;,|]+)') END
$$;
COMMENT ON FUNCTION lock_engine.claimed_tenant(text) IS
  'The tenant that an application name claims: what follows tenant= at its beginning, or behind white space or one of ; , | '
  'up to the next of these. NULL without a claim.';
GRANT EXECUTE ON FUNCTION lock_engine.claimed_tenant(text) TO lock_monitoring_role;
