-- Compares PostgreSQL's own counters with what was last seen and books each rise. A counter that fell was reset (or the
-- server failed over): what it shows then has been counted since.
-- On 13 and 14 reading it makes the statistics collector write its file: at most every 10 s, every second while a cycle
-- that vanished waits for confirmation.
CREATE OR REPLACE FUNCTION lock_engine.count_deadlocks()
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_before timestamptz;
  v_first boolean;
  v_looked timestamptz;
  v_sum bigint;
  v_known bigint;
  v_rises integer;
BEGIN
  IF current_setting('server_version_num')::integer < 150000 THEN
    -- whatever else stands there has somebody else put there, for all sessions of the database perhaps
    v_before := CASE WHEN current_setting('one_vault.counter_looked', true) ~ '^\d{1,10}(\.\d{1,9})?$'
                     THEN to_timestamp(current_setting('one_vault.counter_looked', true)::double precision) END;
    IF v_before <= v_now
       AND v_before > v_now - (CASE WHEN EXISTS (SELECT FROM lock_engine.deadlock_observation o WHERE o.outcome IS NULL)
                      THEN interval '1 second' ELSE interval '10 seconds' END) THEN
      RETURN 0;
    END IF;
    PERFORM set_config('one_vault.counter_looked', extract(epoch FROM v_now)::text, false);
    PERFORM pg_stat_clear_snapshot();
  END IF;
  SELECT sum(pg_stat_get_db_deadlocks(d.oid)) INTO v_sum FROM pg_database d;
  SELECT sum(c.counter), min(c.looked_at), count(*) = 0 INTO v_known, v_looked, v_first FROM lock_engine.deadlock_counter c;
  IF v_sum = v_known AND v_looked > v_now - interval '1 minute' THEN
    RETURN 0;
  END IF;
  WITH n AS MATERIALIZED (
    SELECT d.oid, lock_catalog.readable(d.datname::text) AS name, pg_stat_get_db_deadlocks(d.oid) AS counter FROM pg_database d WHERE d.datallowconn),
  rise AS (
    INSERT INTO lock_engine.deadlock_ledger (database_name, window_start, window_end, counted)
    SELECT n.name, coalesce(c.looked_at, v_looked), v_now, n.counter - CASE WHEN n.counter >= c.counter THEN c.counter ELSE 0 END
      FROM n LEFT JOIN lock_engine.deadlock_counter c ON c.database_oid = n.oid
     -- a database that came after the ledger began counts from nought
     WHERE NOT v_first AND n.counter IS DISTINCT FROM coalesce(c.counter, 0) AND n.counter > 0
    RETURNING 1),
  gone AS (
    DELETE FROM lock_engine.deadlock_counter c WHERE NOT EXISTS (SELECT FROM n WHERE n.oid = c.database_oid)),
  kept AS (
    INSERT INTO lock_engine.deadlock_counter AS c (database_oid, database_name, counter, began_at, looked_at)
    SELECT n.oid, n.name, n.counter, CASE WHEN v_first THEN v_now ELSE v_looked END, v_now FROM n
    ON CONFLICT (database_oid) DO UPDATE
       SET counter = EXCLUDED.counter, looked_at = EXCLUDED.looked_at, database_name = EXCLUDED.database_name)
  SELECT count(*) INTO v_rises FROM rise;
  RETURN v_rises;
END
$$;
COMMENT ON FUNCTION lock_engine.count_deadlocks() IS 'Books what PostgreSQL has counted since the last call; the number of databases that had deadlocks.';
