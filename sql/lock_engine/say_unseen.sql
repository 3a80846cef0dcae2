-- Rows aside of a partitioned table are seen late: that is no silence.
CREATE OR REPLACE FUNCTION lock_engine.say_unseen()
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c_part constant text := 'rows of locked tenants';
  v_name text;
  v_count bigint;
  v_unseen bigint := 0;
  v_tables text[] := '{}';
BEGIN
  FOREACH v_name IN ARRAY ARRAY['lock_activity_s', 'blocking_session_s', 'deadlock_event_s', 'lock_wait_analysis_s'] LOOP
    CONTINUE WHEN lock_engine.has_place_aside(v_name);
    EXECUTE format('SELECT count(*) FROM lock_engine.aside_%s', v_name) INTO v_count;
    v_unseen := v_unseen + v_count;
    v_tables := v_tables || CASE WHEN v_count > 0 THEN ARRAY[v_name] ELSE '{}' END;
  END LOOP;
  IF v_unseen > 0 THEN
    PERFORM lock_engine.part_failed(c_part, '55P03',
      coalesce((SELECT t.reason FROM lock_engine.aside_tenant t ORDER BY t.since LIMIT 1), 'the tenant cannot be had')
        || format('; %s is partitioned, so they are kept aside unseen until it can', array_to_string(v_tables, ' and ')),
      v_unseen::integer, 'kept with their times', NULL);
  ELSIF EXISTS (SELECT FROM lock_engine.part_state p WHERE p.part = c_part AND p.failures_in_a_row > 0) THEN
    PERFORM lock_engine.part_ok(c_part);
  END IF;
END
$$;
COMMENT ON FUNCTION lock_engine.say_unseen() IS
  'Counts rows that are aside and not seen through their table, as part "rows of locked tenants" of the monitor.';
