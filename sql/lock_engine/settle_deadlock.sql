-- One vanished cycle without a log record, given as lock_engine.deadlock_victim() judges it: an event where the counter confirms it.
CREATE OR REPLACE FUNCTION lock_engine.settle_deadlock(p_key text, p_victim integer, p_happened_at timestamptz, p_score integer)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_seen lock_engine.deadlock_observation;
  v_open integer;
  v_hk bytea;
BEGIN
  SELECT o.* INTO v_seen FROM lock_engine.deadlock_observation o WHERE o.observation_key = p_key;
  SELECT coalesce(sum(l.counted - l.captured), 0) INTO v_open FROM lock_engine.deadlock_ledger l
   WHERE NOT l.settled AND l.database_name = v_seen.database_name AND l.window_end >= v_seen.last_seen;
  IF v_open > 0 AND p_score >= 6 THEN
    v_hk := lock_engine.store_deadlock(NULL, p_happened_at, p_victim, v_seen.members, ARRAY['sampling'], v_seen.database_name, NULL, NULL);
    UPDATE lock_engine.deadlock_observation o SET outcome = 'deadlock', settled_at = v_now, deadlock_event_hk = v_hk
     WHERE o.observation_key = p_key;
    PERFORM lock_engine.settle_ledger();
    RETURN true;
  ELSIF v_seen.gone_at < v_now - interval '40 seconds'
    AND NOT EXISTS (SELECT FROM lock_catalog.sessions s
                     WHERE s.pid = p_victim AND s.state = 'idle in transaction (aborted)' AND s.state_change <= v_seen.gone_at) THEN
    UPDATE lock_engine.deadlock_observation o SET outcome = 'resolved otherwise', settled_at = v_now WHERE o.observation_key = p_key;
  END IF;
  RETURN false;
END
$$;
COMMENT ON FUNCTION lock_engine.settle_deadlock(text, integer, timestamptz, integer) IS
  'Makes an event of a vanished cycle that the counter confirms (true), or closes it once it was no deadlock.';
