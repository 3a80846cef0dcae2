-- One pattern of the setting tenants.claims, as the letter of what it looks at and a regular expression: 'u^tenant_([^[:space:];,|]+)$'
-- for 'user: tenant_{tenant}'. A template, not a regular expression, so that nobody can write one that takes for ever.
CREATE OR REPLACE FUNCTION lock_engine.claim_pattern(p_text text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_parts text[] := regexp_match(p_text, '^(application|user|database|schema): *([^{}]*\{tenant\}[^{}]*)$');
BEGIN
  IF v_parts IS NULL OR length(p_text) > 200 OR length(v_parts[2]) - length(replace(v_parts[2], '*', '')) > 2 THEN
    RETURN NULL;
  END IF;
  RETURN left(v_parts[1], 1) || '^'
    || replace(replace(regexp_replace(v_parts[2], '([][\\.^$+?()|])', '\\\1', 'g'), '*', '.*'), '{tenant}', '([^[:space:];,|]+)') || '$';
END
$$;
COMMENT ON FUNCTION lock_engine.claim_pattern(text) IS
  'A pattern by which sessions name their tenant, such as ''user: tenant_{tenant}'' or ''application: *-{tenant}'', as lock_engine.session_claim '
  'takes it: what it looks at (application, user, database, schema), and a text with {tenant} once and * for any text twice at most. NULL if it is none.';
