-- Each counted deadlock is answered for by one event, oldest first; what has no event 15 s after it was counted is missed,
-- until an event that fits turns up after all (a log read late).
CREATE OR REPLACE FUNCTION lock_engine.settle_ledger()
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_row record;
  v_some record;
BEGIN
  FOR v_row IN
    SELECT l.*, coalesce((SELECT min(c.began_at) FROM lock_engine.deadlock_counter c WHERE c.database_name = l.database_name),
                         '-infinity') AS began_at
      FROM lock_engine.deadlock_ledger l
     WHERE NOT l.settled
        OR (l.missed > 0 AND EXISTS (
              SELECT FROM lock_engine.deadlock_capture c
               WHERE c.ledger_id IS NULL AND c.database_name = l.database_name
                 AND c.happened_at BETWEEN l.window_start - interval '1 minute' AND l.window_end + interval '1 second'))
     ORDER BY l.window_end, l.ledger_id
  LOOP
    WITH fit AS (
      SELECT c.deadlock_event_hk FROM lock_engine.deadlock_capture c
       WHERE c.ledger_id IS NULL AND c.database_name = v_row.database_name
         AND c.happened_at <= v_row.window_end + interval '1 second'
         AND c.happened_at >= greatest(v_row.began_at - interval '10 seconds', v_row.window_start - interval '10 minutes')
       ORDER BY c.happened_at LIMIT v_row.counted - v_row.captured),
    taken AS (
      UPDATE lock_engine.deadlock_capture c SET ledger_id = v_row.ledger_id
        FROM fit WHERE fit.deadlock_event_hk = c.deadlock_event_hk
      RETURNING c.sampled, c.logged)
    SELECT count(*)::integer AS events, (count(*) FILTER (WHERE t.sampled))::integer AS sampled,
           (count(*) FILTER (WHERE t.logged))::integer AS logged
      INTO v_some FROM taken t;
    IF v_some.events > 0 OR v_row.window_end < clock_timestamp() - interval '15 seconds' THEN
      UPDATE lock_engine.deadlock_ledger l
         SET captured = l.captured + v_some.events, by_sampling = l.by_sampling + v_some.sampled,
             by_log = l.by_log + v_some.logged,
             missed = CASE WHEN l.settled OR l.window_end < clock_timestamp() - interval '15 seconds'
                           THEN l.counted - l.captured - v_some.events ELSE 0 END,
             settled = l.counted = l.captured + v_some.events OR l.window_end < clock_timestamp() - interval '15 seconds'
       WHERE l.ledger_id = v_row.ledger_id;
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION lock_engine.settle_ledger() IS 'Assigns stored deadlocks to counted ones and books the missed.';
