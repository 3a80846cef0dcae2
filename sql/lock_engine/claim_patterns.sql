-- The patterns of the setting tenants.claims, in its order.
CREATE OR REPLACE FUNCTION lock_engine.claim_patterns()
RETURNS text[]
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
  v_setting jsonb;
BEGIN
  v_setting := lock_admin.setting('tenants.claims');
  IF jsonb_typeof(v_setting) IS DISTINCT FROM 'array' OR v_setting = '[]' THEN
    RETURN '{}';
  END IF;
  -- what is no pattern was refused (lock_admin.setting_fault), or is left out
  RETURN array_remove(ARRAY(SELECT lock_engine.claim_pattern(e.text) FROM jsonb_array_elements_text(v_setting) WITH ORDINALITY AS e (text, place)
                             ORDER BY e.place), NULL);
EXCEPTION
  -- somebody has locked the settings: the live picture goes on without what they would tell
  WHEN lock_not_available THEN RETURN '{}';
END
$$;
COMMENT ON FUNCTION lock_engine.claim_patterns() IS
  'The patterns of the setting tenants.claims, as lock_engine.session_claim takes them.';
GRANT EXECUTE ON FUNCTION lock_engine.claim_patterns() TO lock_monitoring_role;
