CREATE OR REPLACE FUNCTION lock_admin.check_policy_rules(p_rules jsonb)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_allowed text[] := ARRAY[
    'description', 'action', 'user_patterns', 'application_patterns', 'database_patterns', 'tenant_patterns',
    'relation_patterns', 'kinds', 'min_severity', 'min_blocked_seconds', 'min_blocked_sessions', 'time_windows',
    'pause_windows', 'protected_users', 'protected_applications', 'max_per_hour', 'max_per_run', 'grace_seconds',
    'breaker_failures', 'breaker_minutes'];
  v_wrong text;
BEGIN
  SELECT string_agg(k.key, ', ' ORDER BY k.key) INTO v_wrong
    FROM jsonb_object_keys(p_rules) AS k(key) WHERE k.key <> ALL (v_allowed);
  IF v_wrong IS NOT NULL THEN
    RAISE EXCEPTION 'A policy has no rule named %.', v_wrong USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF coalesce(p_rules ->> 'action', '') NOT IN ('cancel', 'terminate', 'cancel_then_terminate') THEN
    RAISE EXCEPTION 'The action of a policy is cancel, terminate or cancel_then_terminate.' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF p_rules ->> 'min_blocked_seconds' IS NULL OR (p_rules ->> 'min_blocked_seconds')::numeric < 1 THEN
    RAISE EXCEPTION 'A policy needs min_blocked_seconds, 1 or more.' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  -- names that the client chooses make nobody eligible by themselves
  IF (coalesce(p_rules -> 'application_patterns', '[]') <> '[]' OR coalesce(p_rules -> 'tenant_patterns', '[]') <> '[]')
     AND NOT EXISTS (SELECT 1 FROM jsonb_array_elements_text(coalesce(p_rules -> 'user_patterns', '[]')) AS u(pattern)
                      WHERE btrim(u.pattern, '* ') <> '') THEN
    RAISE EXCEPTION 'An application name or a tenant tag is only a claim of the client: name the users as well.'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  SELECT k.kind INTO v_wrong FROM jsonb_array_elements_text(coalesce(p_rules -> 'kinds', '[]')) AS k(kind)
   WHERE NOT lock_admin.is_automatic_kind(k.kind)
   LIMIT 1;
  IF v_wrong IS NOT NULL THEN
    RAISE EXCEPTION 'A policy cannot stop blockers of kind %.', v_wrong USING ERRCODE = 'invalid_parameter_value';
  END IF;
  SELECT w.entry::text INTO v_wrong
    FROM jsonb_array_elements(coalesce(p_rules -> 'time_windows', '[]') || coalesce(p_rules -> 'pause_windows', '[]')) AS w(entry)
   WHERE jsonb_typeof(w.entry) <> 'object' OR (w.entry - ARRAY['days', 'from', 'to', 'zone']) <> '{}'
      OR coalesce(w.entry ->> 'from', '00:00') !~ '^([01]\d|2[0-3]):[0-5]\d$'
      OR coalesce(w.entry ->> 'to', '24:00') !~ '^(([01]\d|2[0-3]):[0-5]\d|24:00)$'
      OR coalesce(jsonb_typeof(w.entry -> 'days'), 'array') <> 'array'
      OR (w.entry ->> 'zone' IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_timezone_names AS z WHERE z.name = w.entry ->> 'zone'))
   LIMIT 1;
  IF v_wrong IS NOT NULL THEN
    RAISE EXCEPTION 'A time window looks like {"days": [1, 5], "from": "22:00", "to": "06:00", "zone": "UTC"}, not like %.', v_wrong
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
END
$$;
COMMENT ON FUNCTION lock_admin.check_policy_rules(jsonb) IS 'Refuses rules of a policy that make no sense, with one sentence.';
