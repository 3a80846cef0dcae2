-- So many rows of each table at once, by place: without the table a place says nothing. A night's are 2,880; a vault that
-- nobody cleaned for years has millions. From the first piece on nothing older than the whole counts as known.
CREATE OR REPLACE FUNCTION lock_engine.forget_coverage(p_retention_days integer, p_rows integer DEFAULT 5000)
RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  v_before timestamptz;
  v_name text;
  v_end text;
  v_count bigint;
  v_deleted bigint := 0;
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  IF p_retention_days IS NULL OR p_retention_days < 1 THEN
    RAISE EXCEPTION 'Coverage is kept for at least one day: % days were asked for. Nothing was deleted.',
      coalesce(p_retention_days::text, 'NULL') USING ERRCODE = 'invalid_parameter_value';
  END IF;
  v_before := clock_timestamp() - make_interval(days => p_retention_days);
  -- before the gaps go, so that nobody ever takes what they cut out for watched; never back
  INSERT INTO lock_engine.watch_forgotten AS f (forgotten_until)
  SELECT v_before FROM lock_engine.watch_state w WHERE w.watch_state_id = 1 AND v_before > w.first_look_at
  ON CONFLICT (watch_forgotten_id) DO UPDATE SET forgotten_until = EXCLUDED.forgotten_until
   WHERE f.forgotten_until < EXCLUDED.forgotten_until;
  FOREACH v_name IN ARRAY ARRAY['coverage', 'coverage_gap'] LOOP
    v_end := CASE v_name WHEN 'coverage' THEN 'period_end' ELSE 'gap_end' END;
    EXECUTE format('DELETE FROM lock_engine.%1$I d USING (SELECT t.tableoid, t.ctid FROM lock_engine.%1$I t '
                   'WHERE t.%2$I < $1 ORDER BY t.%2$I LIMIT $2) x WHERE d.tableoid = x.tableoid AND d.ctid = x.ctid',
                   v_name, v_end) USING v_before, p_rows;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    v_deleted := v_deleted + v_count;
  END LOOP;
  RETURN v_deleted;
END
$function$;
COMMENT ON FUNCTION lock_engine.forget_coverage(integer, integer) IS
  'Deletes up to p_rows each of the coverage and the gaps older than so many days (at least 1), before which it is not known any more '
  'what was watched; returns how many rows, 0 when done.';
ALTER FUNCTION lock_engine.forget_coverage(integer, integer) OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_engine.forget_coverage(integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.forget_coverage(integer, integer) TO lock_admin_role;
