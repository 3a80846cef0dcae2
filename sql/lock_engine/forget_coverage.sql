CREATE OR REPLACE FUNCTION lock_engine.forget_coverage(p_retention_days integer)
RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_before timestamptz;
  v_rows bigint;
  v_gaps bigint;
BEGIN
  IF p_retention_days IS NULL OR p_retention_days < 1 THEN
    RAISE EXCEPTION 'Coverage is kept for at least one day: % days were asked for. Nothing was deleted.',
      coalesce(p_retention_days::text, 'NULL') USING ERRCODE = 'invalid_parameter_value';
  END IF;
  v_before := clock_timestamp() - make_interval(days => p_retention_days);
  DELETE FROM lock_engine.coverage WHERE period_end < v_before;
  GET DIAGNOSTICS v_rows = ROW_COUNT;
  DELETE FROM lock_engine.coverage_gap WHERE gap_end < v_before;
  GET DIAGNOSTICS v_gaps = ROW_COUNT;
  UPDATE lock_engine.watch_state w SET forgotten_until = v_before
   WHERE w.watch_state_id = 1 AND v_before > greatest(w.first_look_at, w.forgotten_until);
  RETURN v_rows + v_gaps;
END
$function$;
COMMENT ON FUNCTION lock_engine.forget_coverage(integer) IS
  'Deletes coverage and gaps older than so many days (at least 1), before which it is not known any more what was watched; returns '
  'how many rows.';
ALTER FUNCTION lock_engine.forget_coverage(integer) OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_engine.forget_coverage(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.forget_coverage(integer) TO lock_admin_role;
