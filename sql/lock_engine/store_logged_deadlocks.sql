-- Makes events of the deadlocks read from the log that have none yet; one that a look had seen becomes one with it.
-- A record that cannot be stored is set aside: it stays unhandled, and the others are stored.
CREATE OR REPLACE FUNCTION lock_engine.store_logged_deadlocks(OUT stored integer, OUT failed boolean)
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
  v_aside bigint[] := '{}';
  v_when text[] := '{}';
  v_sqlstate text;
  v_message text;
  v_detail text;
  v_schema text;
  v_table text;
  v_constraint text;
BEGIN
  stored := 0;
  FOR v_event IN SELECT * FROM lock_log.event e WHERE NOT e.handled ORDER BY e.logged_at, e.event_id LOOP
    BEGIN
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
      UPDATE lock_log.event e SET handled = true, deadlock_event_hk = v_hk WHERE e.event_id = v_event.event_id;
      IF v_seen.observation_key IS NOT NULL THEN
        UPDATE lock_engine.deadlock_observation o
           SET outcome = 'deadlock', settled_at = clock_timestamp(), deadlock_event_hk = v_hk,
               gone_at = coalesce(o.gone_at, v_event.logged_at)
         WHERE o.observation_key = v_seen.observation_key;
      END IF;
      IF v_seen.deadlock_event_hk IS NULL THEN
        stored := stored + 1;
      END IF;
    EXCEPTION
      WHEN OTHERS THEN
        IF lock_engine.ends_all(SQLSTATE) THEN
          RAISE;
        END IF;
        v_sqlstate := SQLSTATE;
        GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL, v_schema = SCHEMA_NAME, v_table = TABLE_NAME, v_constraint = CONSTRAINT_NAME;
        v_message := lock_engine.failure_in_words(SQLSTATE, SQLERRM, v_detail, v_schema, v_table, v_constraint);
        v_aside := array_append(v_aside, v_event.event_id::bigint);
        v_when := array_append(v_when, format('logged at %s by pid %s', v_event.logged_at, v_event.pid));
    END;
  END LOOP;
  failed := v_aside <> '{}';
  IF failed THEN
    PERFORM lock_engine.part_failed('logged deadlocks', v_sqlstate, v_message, cardinality(v_aside),
                                    array_to_string(v_when[1:5], ', '), v_aside);
  END IF;
END
$$;
COMMENT ON FUNCTION lock_engine.store_logged_deadlocks() IS 'Stores logged deadlocks as events, merged with what looks saw: the number of new ones, and whether any had to be set aside.';
