-- Who may still write a hub: the first two parts of a hub's business key (pid and beginning of the session, or the prepared
-- transaction) of all that live now. A cycle that has read its locks before and has not stored them yet may write for a
-- session that has ended since: it is waited for, as it takes a moment. One whose transaction somebody keeps open has
-- stored what it will store.
CREATE OR REPLACE FUNCTION lock_engine.living_sessions(p_patience interval)
RETURNS text[]
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_until timestamptz := clock_timestamp() + p_patience;
  v_living text[];
  v_cycle text;
  v_first text;
BEGIN
  PERFORM pg_stat_clear_snapshot();
  v_living := ARRAY(
    SELECT a.pid || '|' || coalesce(date_part('epoch', a.backend_start) * 1000000, 0)::bigint FROM lock_catalog.alive a
    UNION ALL
    SELECT DISTINCT '0|' || l.virtualtransaction FROM lock_catalog.locks l WHERE l.pid IS NULL
    UNION ALL
    SELECT -p.transaction::text::bigint || '|' || p.gid FROM pg_prepared_xacts p);
  LOOP
    SELECT format('%s %s', s.pid, s.xact_start) INTO v_cycle
      FROM lock_catalog.monitor_locks m JOIN lock_catalog.sessions s ON s.pid = m.pid
     WHERE m.number = 1 AND m.pid <> pg_backend_pid() AND s.state = 'active';
    v_first := coalesce(v_first, v_cycle);
    IF v_cycle IS NULL OR v_cycle <> v_first THEN
      RETURN v_living;
    END IF;
    IF clock_timestamp() > v_until THEN
      RETURN NULL;
    END IF;
    PERFORM pg_sleep(0.01);
    PERFORM pg_stat_clear_snapshot();
  END LOOP;
END
$$;
COMMENT ON FUNCTION lock_engine.living_sessions(interval) IS
  'The beginnings of the business keys of hubs that a living session or prepared transaction may still write; NULL where a cycle '
  'that began before could not be waited for in so long.';
