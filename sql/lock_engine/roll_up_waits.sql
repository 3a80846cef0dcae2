-- Adds up hours that are past, and how much of each was watched. Final once done, unless a gap is found in it afterwards
-- (lock_engine.unroll_waits): nothing that happens later changes what was lost within an hour. So an
-- hour waits until no cycle is under way that began in it, and for an isolation level that sees what was committed.
CREATE OR REPLACE FUNCTION lock_engine.roll_up_waits(p_budget interval DEFAULT interval '1 second')
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
  v_began timestamptz := clock_timestamp();
  v_from timestamptz;
  v_last timestamptz := date_trunc('hour', clock_timestamp() - interval '1 minute', 'UTC');
  v_cycle timestamptz;
  v_hours integer := 0;
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  IF current_setting('transaction_isolation') <> 'read committed' OR pg_is_in_recovery() THEN
    RETURN 0;
  END IF;
  INSERT INTO lock_engine.wait_rollup_state (rolled_from, rolled_until)
  SELECT f.hour, f.hour
    FROM (SELECT date_trunc('hour', least((SELECT min(s.load_date) FROM lock_monitoring.lock_activity_s s),
                                          (SELECT min(s.load_date) FROM lock_monitoring.blocking_session_s s)), 'UTC') AS hour) f
   WHERE f.hour IS NOT NULL
  ON CONFLICT DO NOTHING;
  -- one at a time: whoever comes second leaves it to the first
  SELECT s.rolled_until INTO v_from FROM lock_engine.wait_rollup_state s FOR UPDATE SKIP LOCKED;
  IF v_from IS NULL OR v_from >= v_last THEN
    RETURN 0;
  END IF;
  SELECT min(coalesce(s.xact_start, s.backend_start)) INTO v_cycle
    FROM lock_catalog.monitor_locks m JOIN lock_catalog.sessions s ON s.pid = m.pid
   WHERE m.number = 1 AND m.pid <> pg_backend_pid();
  WHILE v_from < v_last AND (v_cycle IS NULL OR v_cycle > v_from + interval '1 hour')
        AND clock_timestamp() - v_began < p_budget LOOP
    INSERT INTO lock_engine.wait_rollup (hour, dimension, name, table_name, row_page, row_tuple, seconds, begun, longest)
    SELECT v_from, l.dimension, l.name, l.table_name, l.row_page, l.row_tuple, l.seconds, l.begun, l.longest
      FROM lock_engine.losses(ARRAY['application', 'user', 'query', 'tenant', 'database', 'relation', 'row', 'all', 'claim', 'length'],
                              v_from, v_from + interval '1 hour') l
     WHERE l.seconds > 0 OR l.begun > 0
    UNION ALL
    SELECT v_from, 'watched', NULL, NULL, NULL, NULL, lock_engine.watched_share(v_from, v_from + interval '1 hour')::double precision * 3600,
           0, NULL;
    v_from := v_from + interval '1 hour';
    v_hours := v_hours + 1;
  END LOOP;
  UPDATE lock_engine.wait_rollup_state s SET rolled_until = v_from WHERE v_hours > 0;
  RETURN v_hours;
EXCEPTION WHEN lock_not_available THEN
  RETURN 0;
END
$$;
COMMENT ON FUNCTION lock_engine.roll_up_waits(interval) IS
  'Adds up past hours into lock_engine.wait_rollup for at most so long; how many. Called by analyze_lock_waits and cleanup_old_data; '
  'harmless at any time.';
ALTER FUNCTION lock_engine.roll_up_waits(interval) OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_engine.roll_up_waits(interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.roll_up_waits(interval) TO lock_monitoring_role;
