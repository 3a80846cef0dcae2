-- Which tenant the first of these patterns that fits names. lock_engine.session_claim asks, where the site has patterns.
CREATE OR REPLACE FUNCTION lock_engine.claim_by_pattern(
  p_patterns text[], p_application_name text, p_user_name text, p_database_name text, p_schema_name text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_claim text;
  v_pattern text;
BEGIN
  FOREACH v_pattern IN ARRAY p_patterns LOOP
    v_claim := substring(CASE left(v_pattern, 1) WHEN 'a' THEN p_application_name WHEN 'u' THEN p_user_name WHEN 'd' THEN p_database_name
                         ELSE p_schema_name END, substr(v_pattern, 2));
    EXIT WHEN v_claim IS NOT NULL;
  END LOOP;
  RETURN v_claim;
END
$$;
COMMENT ON FUNCTION lock_engine.claim_by_pattern(text[], text, text, text, text) IS
  'What the first of these patterns (lock_engine.claim_patterns) that fits says; NULL if none does.';
GRANT EXECUTE ON FUNCTION lock_engine.claim_by_pattern(text[], text, text, text, text) TO lock_monitoring_role;
