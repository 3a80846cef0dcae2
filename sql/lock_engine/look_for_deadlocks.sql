-- The loop's light look: finds cycles alive now, remembers them, and notes of those gone what each member does now, which
-- tells the victim. Writes nothing unless a cycle lives or has just vanished.
CREATE OR REPLACE FUNCTION lock_engine.look_for_deadlocks()
RETURNS TABLE (waiters integer, young boolean, cycles integer, pending integer, next_check_seconds double precision,
               deadlock_timeout_seconds double precision)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  v_timeout double precision := extract(epoch FROM current_setting('deadlock_timeout')::interval);
  v_seen record;
  v_now timestamptz;
  v_keys text[] := '{}';
  v_open integer;
  v_youngest timestamptz;
  v_next double precision;
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  SELECT * INTO v_seen FROM lock_catalog.deadlock_cycles();
  v_now := clock_timestamp();
  IF v_seen.cycles <> '[]'::jsonb THEN
    WITH c AS (
      SELECT m.members,
             md5((SELECT string_agg(concat_ws('/', e ->> 'pid', e ->> 'backend_start', e ->> 'wait_start', e ->> 'object_key',
                                              e ->> 'query_start'), ' ' ORDER BY e ->> 'pid') FROM jsonb_array_elements(m.members) e)) AS key
        FROM jsonb_array_elements(v_seen.cycles) m(members)),
    kept AS (
      INSERT INTO lock_engine.deadlock_observation AS o (observation_key, first_seen, last_seen, pids, all_pids, database_name, members)
      SELECT c.key, v_now, v_now,
             ARRAY(SELECT (e ->> 'pid')::integer FROM jsonb_array_elements(c.members) e),
             ARRAY(SELECT p::integer FROM jsonb_array_elements(c.members) e, jsonb_array_elements_text(e -> 'pids') p),
             c.members -> 0 ->> 'database', c.members
        FROM c ORDER BY c.key
      ON CONFLICT (observation_key) DO UPDATE SET last_seen = EXCLUDED.last_seen, looks = o.looks + 1, gone_at = NULL, evidence = NULL
       WHERE o.outcome IS NULL
      RETURNING o.observation_key)
    SELECT array_agg(k.observation_key) INTO v_keys FROM kept k;
  END IF;
  -- gone only if one of them waits no more: a member that is just making its check is not seen waiting by a look
  UPDATE lock_engine.deadlock_observation o SET gone_at = v_now, evidence = e.evidence
    FROM (SELECT x.observation_key, lock_engine.deadlock_evidence(x.members) AS evidence
            FROM lock_engine.deadlock_observation x
           WHERE x.outcome IS NULL AND x.gone_at IS NULL AND x.observation_key <> ALL (v_keys)) e
   WHERE o.observation_key = e.observation_key
     AND EXISTS (SELECT FROM jsonb_array_elements(e.evidence) m WHERE NOT (m ->> 'still_waiting')::boolean);
  SELECT count(*) FILTER (WHERE o.gone_at IS NOT NULL) INTO v_open
    FROM lock_engine.deadlock_observation o WHERE o.outcome IS NULL;
  SELECT max(w) INTO v_youngest FROM unnest(v_seen.wait_starts) w;
  SELECT min(extract(epoch FROM w - v_now) + v_timeout) INTO v_next FROM unnest(v_seen.check_starts) w
   WHERE w > v_now - make_interval(secs => v_timeout);
  RETURN QUERY SELECT v_seen.waiters,
    -- a wait whose beginning is not shown yet has just begun
    v_seen.waiters > 0 AND (jsonb_array_length(v_seen.cycles) > 0 OR array_position(v_seen.wait_starts, NULL) IS NOT NULL
                            OR v_youngest > v_now - make_interval(secs => v_timeout)),
    jsonb_array_length(v_seen.cycles), v_open, v_next, v_timeout;
END
$$;
COMMENT ON FUNCTION lock_engine.look_for_deadlocks() IS
  'One light look at the waits-for graph: waiting processes; young: look again soon; cycles alive; pending: vanished cycles not '
  'yet confirmed (call collect_deadlocks); seconds until the next waiter checks for deadlock.';
ALTER FUNCTION lock_engine.look_for_deadlocks() OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_engine.look_for_deadlocks() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.look_for_deadlocks() TO lock_monitoring_role;
