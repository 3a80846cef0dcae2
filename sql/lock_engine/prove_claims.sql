-- A deadlock that the log only claims (lock_log.event.standing) becomes proven where a look saw its cycle, or where the counter of
-- its database counted it: a line of the ledger that counted more than was captured, and no more claims that could be of it
-- than it has open. More claims than counted: none of them is proven, since nobody knows which. The counter moves once
-- the victim's transaction has ended, so a claim waits as long as that lasts, and ten minutes.
CREATE OR REPLACE FUNCTION lock_engine.prove_claims()
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  -- PostgreSQL shows a count up to 10 s late
  c_late constant interval := interval '20 seconds';
  -- by then the log of what was counted has been read, and a look at its cycle has made the event
  c_moment constant interval := interval '2 seconds';
  v_now timestamptz := clock_timestamp();
  v_oldest timestamptz;
  v_claims bigint[];
  v_proven integer := 0;
  v_some integer;
  w record;
BEGIN
  IF EXISTS (SELECT FROM lock_engine.deadlock_observation) THEN
    UPDATE lock_log.event e SET standing = 'proven', proof = 'sampling'
     WHERE NOT e.handled AND e.standing = 'claimed'
       AND e.pid IN (SELECT unnest(o.all_pids) FROM lock_engine.deadlock_observation o) AND lock_engine.seen_cycle_of(e) IS NOT NULL;
    GET DIAGNOSTICS v_proven = ROW_COUNT;
  END IF;

  -- the error of a wait that is proven and is an event already: a handler raised it again
  UPDATE lock_log.event e SET standing = 'proven', proof = x.proof
    FROM lock_log.event x
   WHERE NOT e.handled AND e.standing = 'claimed' AND e.kind = 'deadlock' AND x.pid = e.pid AND x.kind = 'deadlock_wait'
     AND x.deadlock_event_hk IS NOT NULL AND x.proof IN ('counter', 'sampling')
     AND x.logged_at BETWEEN e.logged_at - interval '10 minutes' AND e.logged_at + interval '1 second'
     AND lock_engine.answers_wait(e, x);
  GET DIAGNOSTICS v_some = ROW_COUNT;
  v_proven := v_proven + v_some;

  -- a file from elsewhere is of another server, as far as can be known: our counters say nothing of it
  UPDATE lock_log.event e SET handled = true WHERE NOT e.handled AND e.standing = 'claimed' AND e.source LIKE 'file:%';

  -- not looked for again and again: whoever can write one can write thousands
  UPDATE lock_log.event e SET handled = true
   WHERE NOT e.handled AND e.standing = 'claimed' AND e.kind = 'deadlock_wait' AND e.stored_at > v_now - interval '15 seconds'
     AND lock_engine.is_answered(e);

  IF EXISTS (SELECT FROM lock_log.event e
              WHERE NOT e.handled AND e.standing = 'claimed' AND coalesce(e.there_at, e.logged_at) < v_now - interval '5 seconds') THEN
    UPDATE lock_log.event e SET there_at = v_now
      FROM pg_stat_activity s
     WHERE NOT e.handled AND e.standing = 'claimed' AND coalesce(e.there_at, e.logged_at) < v_now - interval '5 seconds'
       AND s.pid = e.pid AND s.backend_start <= e.logged_at + interval '1 second'
       -- a transaction that failed has no beginning any more
       AND (s.xact_start <= e.logged_at + interval '1 second'
            OR s.state = 'idle in transaction (aborted)'
               AND (s.state_change <= e.logged_at + interval '5 seconds' OR e.there_at > v_now - interval '15 seconds'));
  END IF;

  SELECT min(e.logged_at) INTO v_oldest FROM lock_log.event e
   WHERE NOT e.handled AND e.standing = 'claimed' AND e.stored_at < v_now - c_moment;
  IF v_oldest IS NOT NULL
     AND EXISTS (SELECT FROM lock_engine.deadlock_ledger l WHERE l.counted > l.captured AND l.window_end >= v_oldest - interval '1 second')
     -- what has not been read yet may hold the record of what was counted
     AND NOT EXISTS (SELECT FROM lock_log.state s WHERE s.readable AND s.file_size IS NULL) THEN
    PERFORM lock_engine.settle_ledger();
    FOR w IN
      SELECT l.ledger_id, l.database_name, l.window_start, l.window_end, l.counted - l.captured
             - (SELECT count(*) FROM lock_log.event e WHERE NOT e.handled AND e.ledger_id = l.ledger_id)
             - (SELECT count(*) FROM lock_engine.deadlock_observation o
                 WHERE o.outcome IS NULL AND o.gone_at IS NOT NULL AND o.database_name = l.database_name
                   AND o.last_seen BETWEEN l.window_start - c_late AND l.window_end) AS open
        FROM lock_engine.deadlock_ledger l
       WHERE l.counted > l.captured AND l.window_end BETWEEN v_oldest - interval '1 second' AND v_now - c_moment
       ORDER BY l.window_end, l.ledger_id
    LOOP
      CONTINUE WHEN w.open <= 0;
      v_claims := ARRAY(
        SELECT e.event_id FROM lock_log.event e
         WHERE e.standing = 'claimed' AND e.deadlock_event_hk IS NULL AND e.kind IN ('deadlock', 'deadlock_wait')
           AND e.logged_at <= w.window_end + interval '1 second'
           AND (e.logged_at >= w.window_start - c_late OR e.there_at >= w.window_start - c_late)
           AND coalesce(e.database_name, w.database_name) = w.database_name
           AND e.source NOT LIKE 'file:%' AND lock_log.may_be_event(e.kind, e.context)
           AND (e.kind = 'deadlock' OR NOT lock_engine.is_answered(e))
         LIMIT w.open + 1);
      CONTINUE WHEN cardinality(v_claims) NOT BETWEEN 1 AND w.open;
      CONTINUE WHEN EXISTS (
        SELECT FROM lock_log.event e
         WHERE e.event_id = ANY (v_claims)
           AND (e.stored_at >= v_now - c_moment
                -- of no known database: only one may have counted anything that is open
                OR e.database_name IS NULL AND EXISTS (
                     SELECT FROM lock_engine.deadlock_ledger x
                      WHERE x.counted > x.captured AND x.database_name <> w.database_name
                        AND x.window_end >= e.logged_at - interval '1 second'
                        AND x.window_start <= greatest(e.logged_at, e.there_at) + c_late)));
      UPDATE lock_log.event e SET standing = 'proven', proof = 'counter', ledger_id = w.ledger_id, handled = false
       WHERE e.event_id = ANY (v_claims);
      GET DIAGNOSTICS v_some = ROW_COUNT;
      v_proven := v_proven + v_some;
    END LOOP;
  END IF;

  UPDATE lock_log.event e SET handled = true
   WHERE NOT e.handled AND e.standing = 'claimed' AND greatest(e.stored_at, e.there_at) < v_now - interval '10 minutes';
  RETURN v_proven;
END
$$;
COMMENT ON FUNCTION lock_engine.prove_claims() IS
  'Proves deadlocks that the log only claims, by looks and counters, and lets those wait no longer that nothing proved: how many are '
  'proven now. They stay claimed and shown.';
