CREATE OR REPLACE FUNCTION lock_admin.trip_breaker(p_policy_hk bytea, p_version integer, p_failures integer)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_now timestamptz;
BEGIN
  PERFORM 1 FROM lock_admin.policy_h AS h WHERE h.policy_hk = p_policy_hk FOR UPDATE;
  v_now := lock_admin.next_moment(p_policy_hk);
  UPDATE lock_admin.policy_mode_s AS m SET load_end_date = v_now
   WHERE m.policy_hk = p_policy_hk AND m.load_end_date IS NULL AND m.mode = 'armed';
  IF FOUND THEN
    INSERT INTO lock_admin.policy_mode_s (policy_hk, load_date, mode, version, reason, by_breaker, changed_by)
    VALUES (p_policy_hk, v_now, 'dry_run', p_version, format('Circuit breaker: %s stops in a row did not help.', p_failures),
            true, 'circuit breaker');
    RAISE LOG 'one vault lock door: policy % was disarmed by its circuit breaker after % stops that did not help',
      encode(p_policy_hk, 'hex'), p_failures;
  END IF;
END
$$;
COMMENT ON FUNCTION lock_admin.trip_breaker(bytea, integer, integer) IS
  'Internal: disarms a policy whose stops do not help. lock_admin.policy_overview.by_breaker shows it, an alert asks for it.';
