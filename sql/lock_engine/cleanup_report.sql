-- What a cleanup did, a line a table and the total, for everybody who runs one. What is left is counted up to 100,000 rows,
-- beyond that it is the planner's estimate and called one.
CREATE OR REPLACE FUNCTION lock_engine.cleanup_report(
  p_deleted jsonb, p_before timestamptz, p_days integer, p_state jsonb DEFAULT NULL, p_in_the_way text DEFAULT NULL)
RETURNS TABLE (cleanup_summary text, records_cleaned bigint)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  v_tables constant text[] := ARRAY['lock_activity_s', 'blocking_session_s', 'deadlock_event_s', 'lock_wait_analysis_s', 'lock_blocking_l',
    'deadlock_involvement_l', 'lock_activity_h', 'blocking_session_h', 'deadlock_event_h', 'lock_wait_analysis_h'];
  v_total bigint := (SELECT coalesce(sum((p_deleted ->> x)::bigint), 0) FROM unnest(v_tables) x);
  v_kept bigint := coalesce((p_deleted ->> 'kept')::bigint, 0);
  v_from timestamptz := '-infinity';
  v_left text := 'nothing expired is left';
  v_name text;
  v_count bigint;
  v_about bigint;
  v_sum bigint := 0;
  v_estimated boolean := false;
  v_plan json;
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  RETURN QUERY
    SELECT format('%s: %s rows older than %s deleted', x, coalesce((p_deleted ->> x)::bigint, 0), to_char(p_before, 'YYYY-MM-DD HH24:MI')),
           coalesce((p_deleted ->> x)::bigint, 0)
      FROM unnest(v_tables) x;
  RETURN QUERY
    SELECT format('%s: %s rows deleted', x.words, coalesce((p_deleted ->> x.key)::bigint, 0)), coalesce((p_deleted ->> x.key)::bigint, 0)
      FROM (VALUES ('records', 'deadlock records, log lines and sums of the monitor itself'),
                   ('coverage', 'coverage of the monitor itself'), ('alerts', 'alert events and messages')) AS x (key, words);
  IF p_state IS NOT NULL OR p_in_the_way IS NOT NULL THEN
    BEGIN
      FOREACH v_name IN ARRAY ARRAY['lock_activity_s', 'blocking_session_s'] LOOP
        v_from := CASE WHEN p_state ->> 'part' = CASE v_name WHEN 'lock_activity_s' THEN 'locks' ELSE 'sessions' END
                       THEN coalesce((p_state ->> 'from')::timestamptz, '-infinity') ELSE '-infinity' END;
        EXECUTE format('SELECT count(*) FROM (SELECT FROM lock_monitoring.%I s WHERE s.load_date < $1 AND s.load_end_date < $1 '
                       'AND s.load_date >= $2 ORDER BY s.load_date LIMIT 100001) x', v_name) INTO v_count USING p_before, v_from;
        IF v_count > 100000 THEN
          v_estimated := true;
          EXECUTE format('EXPLAIN (FORMAT JSON) SELECT FROM lock_monitoring.%I s WHERE s.load_date < %L AND s.load_end_date < %L '
                         'AND s.load_date >= %L', v_name, p_before, p_before, v_from) INTO v_plan;
          v_about := (v_plan -> 0 -> 'Plan' ->> 'Plan Rows')::numeric::bigint;
          v_count := greatest(v_count, v_about);
        END IF;
        v_sum := v_sum + v_count;
      END LOOP;
      v_left := CASE WHEN v_estimated THEN format('about %s expired rows are left (estimated)', to_char(v_sum, 'FM999,999,999,990'))
                     ELSE format('%s expired rows are left', to_char(v_sum, 'FM999,999,999,990')) END
                || ': run it again';
    EXCEPTION WHEN lock_not_available THEN
      v_left := 'how much is left could not be counted: run it again';
    END;
  END IF;
  RETURN QUERY
    SELECT left(concat_ws('; ', format('Total: %s rows deleted, kept %s days', v_total, p_days), v_left,
                          CASE WHEN v_kept > 0 THEN format('%s stay until their sessions have ended or nothing refers to them', v_kept) END,
                          'in the way: ' || p_in_the_way), 200), v_total;
END
$$;
COMMENT ON FUNCTION lock_engine.cleanup_report(jsonb, timestamptz, integer, jsonb, text) IS
  'A line for each table with the rows that a cleanup deleted (p_deleted: sums of what delete_batch answered) and the total with what '
  'is left. p_state NULL: the cleanup went to its end.';
ALTER FUNCTION lock_engine.cleanup_report(jsonb, timestamptz, integer, jsonb, text) OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_engine.cleanup_report(jsonb, timestamptz, integer, jsonb, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.cleanup_report(jsonb, timestamptz, integer, jsonb, text) TO lock_admin_role;
