-- The engine's own records of what is no longer kept, up to p_rows of each table: log records, looks and ledger lines of
-- deadlocks, sums of past hours, cached tenants. By table and place: without the table a place says nothing.
CREATE OR REPLACE FUNCTION lock_engine.forget_records(p_before timestamptz, p_rows integer)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
  v_thing record;
  v_count bigint;
  v_deleted bigint := 0;
BEGIN
  FOR v_thing IN
    SELECT x.* FROM (VALUES
      ('lock_log.event', 't.logged_at < $1 AND t.handled'),
      ('lock_engine.deadlock_capture', 't.happened_at < $1'),
      ('lock_engine.deadlock_ledger', 't.window_end < $1 AND t.settled'),
      ('lock_engine.deadlock_observation', 't.last_seen < $1 AND t.outcome IS NOT NULL'),
      ('lock_engine.wait_rollup', 't.hour < $1'),
      ('lock_engine.tenant_claim', 't.looked_up_at < clock_timestamp() - interval ''1 day'''),
      -- claims are made by whoever connects: what cannot be asked for a day is wanted anew when it is met again
      ('lock_engine.tenant_wanted', 't.asked_at < clock_timestamp() - interval ''1 day''')) AS x (name, condition)
  LOOP
    EXECUTE format('DELETE FROM %1$s d USING (SELECT t.tableoid, t.ctid FROM %1$s t WHERE %2$s LIMIT $2) x '
                   'WHERE d.tableoid = x.tableoid AND d.ctid = x.ctid', v_thing.name, v_thing.condition)
      USING p_before, p_rows;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    v_deleted := v_deleted + v_count;
  END LOOP;
  UPDATE lock_engine.wait_rollup_state s
     SET rolled_from = x.first, rolled_until = greatest(s.rolled_until, x.first)
    FROM (SELECT date_trunc('hour', p_before, 'UTC') + interval '1 hour' AS first) x
   WHERE s.rolled_from < x.first;
  RETURN v_deleted;
END
$$;
COMMENT ON FUNCTION lock_engine.forget_records(timestamptz, integer) IS
  'Deletes up to p_rows each of the engine''s own records older than p_before (deadlocks, log, sums, cached tenants); how many, 0 when done.';
