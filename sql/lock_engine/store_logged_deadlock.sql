-- One record of the log that has no event yet; a deadlock that a look had seen becomes one event with it, and so does the error of
-- one that was taken for caught.
CREATE OR REPLACE FUNCTION lock_engine.store_logged_deadlock(p_event_id bigint)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_event lock_log.event;
  v_seen lock_engine.deadlock_observation;
  v_caught boolean;
  v_before bytea;
  v_members jsonb;
  v_hk bytea;
BEGIN
  SELECT e.* INTO v_event FROM lock_log.event e WHERE e.event_id = p_event_id;
  v_caught := v_event.kind = 'deadlock_wait';
  IF v_caught AND lock_engine.is_answered(v_event) THEN
    UPDATE lock_log.event e SET handled = true WHERE e.event_id = p_event_id;
    RETURN false;
  END IF;
  v_event.database_name := coalesce(v_event.database_name,
    (SELECT l.database_name FROM lock_engine.deadlock_ledger l WHERE l.ledger_id = v_event.ledger_id));
  v_before := (SELECT w.deadlock_event_hk FROM lock_log.event w
                WHERE NOT v_caught AND w.pid = v_event.pid AND w.kind = 'deadlock_wait' AND w.deadlock_event_hk IS NOT NULL
                  AND w.logged_at BETWEEN v_event.logged_at - interval '10 minutes' AND v_event.logged_at + interval '1 second'
                  AND lock_engine.answers_wait(v_event, w)
                ORDER BY w.logged_at DESC LIMIT 1);
  SELECT o.* INTO v_seen FROM lock_engine.deadlock_observation o
   WHERE CASE WHEN v_before IS NOT NULL THEN o.deadlock_event_hk = v_before
              ELSE o.observation_key = lock_engine.seen_cycle_of(v_event) END;
  IF v_caught THEN
    v_members := lock_engine.caught_participants(v_event);
    IF v_seen.members IS NOT NULL THEN
      -- the look knows the whole ring
      v_members := (SELECT jsonb_agg(CASE WHEN m.e -> 'pids' @> to_jsonb(v_event.pid)
                                          THEN m.e || jsonb_strip_nulls(jsonb_build_object('context', v_event.context, 'caught', true)) ELSE m.e END ORDER BY m.n)
                      FROM jsonb_array_elements(v_seen.members) WITH ORDINALITY m(e, n));
    END IF;
  ELSE
    v_members := lock_engine.merged_participants(v_seen.members, lock_engine.logged_participants(v_event));
  END IF;
  IF v_event.proof = 'counter' THEN
    v_members := (SELECT jsonb_agg(m.e || '{"texts_claimed": true}' ORDER BY m.n) FROM jsonb_array_elements(v_members) WITH ORDINALITY m(e, n));
  END IF;
  v_hk := lock_engine.store_deadlock(coalesce(v_before, v_seen.deadlock_event_hk), v_event.logged_at, v_event.pid, v_members,
    CASE WHEN v_seen.observation_key IS NULL THEN ARRAY['log'] ELSE ARRAY['log', 'sampling'] END,
    coalesce(v_event.database_name, v_seen.database_name), v_event.statement, v_event.excerpt);
  UPDATE lock_log.event e SET handled = true, deadlock_event_hk = v_hk WHERE e.event_id = p_event_id;
  IF v_seen.observation_key IS NOT NULL THEN
    UPDATE lock_engine.deadlock_observation o
       SET outcome = 'deadlock', settled_at = clock_timestamp(), deadlock_event_hk = v_hk,
           gone_at = coalesce(o.gone_at, v_event.logged_at)
     WHERE o.observation_key = v_seen.observation_key;
  END IF;
  IF v_event.ledger_id IS NOT NULL THEN
    WITH taken AS (
      UPDATE lock_engine.deadlock_capture c SET ledger_id = v_event.ledger_id
       WHERE c.deadlock_event_hk = v_hk AND c.ledger_id IS NULL
      RETURNING c.sampled)
    UPDATE lock_engine.deadlock_ledger l
       SET captured = l.captured + 1, by_sampling = l.by_sampling + taken.sampled::integer, by_log = l.by_log + 1,
           missed = greatest(l.missed - 1, 0), settled = l.settled OR l.counted = l.captured + 1
      FROM taken WHERE l.ledger_id = v_event.ledger_id AND l.counted > l.captured;
  END IF;
  RETURN coalesce(v_before, v_seen.deadlock_event_hk) IS NULL;
END
$$;
COMMENT ON FUNCTION lock_engine.store_logged_deadlock(bigint) IS
  'Makes an event of one record of the log, or a new version of the event that a look or its own wait had made; whether it is a new event.';
