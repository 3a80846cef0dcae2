-- The one rule: a word of its own, so that neither mytenant=acme nor tenant=acme|job of a pooler is taken otherwise in one place
-- than in another. lockmon/views/words.py has it in Python, and one table of cases holds both (tests/support/claims.py). Inlined.
CREATE OR REPLACE FUNCTION lock_engine.claimed_tenant(p_application_name text)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
  SELECT pg_catalog.substring(p_application_name, '(?:^|[\s;,|])tenant=([^\s;,|]+)')
$$;
COMMENT ON FUNCTION lock_engine.claimed_tenant(text) IS
  'The tenant that an application name claims: what follows tenant= at its beginning, or behind white space or one of ; , | '
  'up to the next of these. NULL without a claim.';
GRANT EXECUTE ON FUNCTION lock_engine.claimed_tenant(text) TO lock_monitoring_role;
