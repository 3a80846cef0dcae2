-- One record of the log that has no event yet; a deadlock that a look had seen becomes one event with it.
CREATE OR REPLACE FUNCTION lock_engine.store_logged_deadlock(p_event_id bigint)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_event lock_log.event;
  v_seen lock_engine.deadlock_observation;
  v_logged jsonb;
  v_pids integer[];
  v_hk bytea;
BEGIN
  SELECT e.* INTO v_event FROM lock_log.event e WHERE e.event_id = p_event_id;
  v_logged := lock_engine.logged_participants(v_event);
  v_pids := ARRAY(SELECT (e ->> 'pid')::integer FROM jsonb_array_elements(v_logged) e);
  SELECT o.* INTO v_seen FROM lock_engine.deadlock_observation o
   WHERE v_pids <@ o.all_pids AND (cardinality(v_pids) = cardinality(o.pids) OR v_event.detail IS NULL)
     AND o.last_seen BETWEEN v_event.logged_at - interval '10 minutes' AND v_event.logged_at + interval '200 ms'
     AND (o.gone_at IS NULL OR o.gone_at >= v_event.logged_at - interval '200 ms')
     AND NOT EXISTS (SELECT FROM lock_engine.deadlock_capture c WHERE c.deadlock_event_hk = o.deadlock_event_hk AND c.logged)
   ORDER BY abs(extract(epoch FROM o.last_seen - v_event.logged_at)) LIMIT 1;
  v_hk := lock_engine.store_deadlock(v_seen.deadlock_event_hk, v_event.logged_at, v_event.pid,
    lock_engine.merged_participants(v_seen.members, v_logged),
    CASE WHEN v_seen.observation_key IS NULL THEN ARRAY['log'] ELSE ARRAY['log', 'sampling'] END,
    coalesce(v_event.database_name, v_seen.database_name), v_event.statement, v_event.excerpt);
  UPDATE lock_log.event e SET handled = true, deadlock_event_hk = v_hk WHERE e.event_id = p_event_id;
  IF v_seen.observation_key IS NOT NULL THEN
    UPDATE lock_engine.deadlock_observation o
       SET outcome = 'deadlock', settled_at = clock_timestamp(), deadlock_event_hk = v_hk,
           gone_at = coalesce(o.gone_at, v_event.logged_at)
     WHERE o.observation_key = v_seen.observation_key;
  END IF;
  RETURN v_seen.deadlock_event_hk IS NULL;
END
$$;
COMMENT ON FUNCTION lock_engine.store_logged_deadlock(bigint) IS
  'Makes an event of one record of the log, or a new version of the event that a look had seen; whether it is a new event.';
