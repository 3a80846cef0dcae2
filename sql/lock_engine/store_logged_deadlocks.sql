-- Makes events of the deadlocks read from the log that have none yet and are proven. A wait that ended in one waits a moment for
-- its error, or until the log has been read further: it is an event of its own only where that never comes.
-- A record that cannot be stored is set aside: it stays unhandled, and the others are stored.
CREATE OR REPLACE FUNCTION lock_engine.store_logged_deadlocks(OUT stored integer, OUT failed boolean)
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_event record;
  v_try record;
  v_failure record;
  v_aside bigint[] := '{}';
  v_when text[] := '{}';
BEGIN
  stored := 0;
  UPDATE lock_log.event e SET handled = true
   WHERE NOT e.handled AND e.kind = 'deadlock_wait' AND e.standing IS DISTINCT FROM 'claimed' AND lock_engine.is_answered(e);
  FOR v_event IN
    SELECT e.event_id, e.logged_at, e.pid FROM lock_log.event e
     WHERE NOT e.handled AND e.standing IS DISTINCT FROM 'claimed'
       AND (e.kind <> 'deadlock_wait' OR e.stored_at < clock_timestamp() - interval '2 seconds'
            OR EXISTS (SELECT FROM lock_log.event x WHERE x.source = e.source AND x.logged_at > e.logged_at + interval '2 seconds'))
     ORDER BY e.logged_at, e.kind = 'deadlock_wait', e.event_id
  LOOP
    SELECT t.* INTO v_try
      FROM lock_engine.try_apart('SELECT to_jsonb(lock_engine.store_logged_deadlock($1::bigint))', to_jsonb(v_event.event_id)) t;
    IF v_try.error_state IS NOT NULL THEN
      v_failure := v_try;
      v_aside := array_append(v_aside, v_event.event_id::bigint);
      v_when := array_append(v_when, format('logged at %s by pid %s', v_event.logged_at, v_event.pid));
    ELSIF v_try.result::boolean THEN
      stored := stored + 1;
    END IF;
  END LOOP;
  failed := v_aside <> '{}';
  IF failed THEN
    PERFORM lock_engine.part_failed('logged deadlocks', v_failure.error_state, v_failure.error_message, cardinality(v_aside),
                                    array_to_string(v_when[1:5], ', '), v_aside);
  END IF;
END
$$;
COMMENT ON FUNCTION lock_engine.store_logged_deadlocks() IS 'Stores logged deadlocks as events, merged with what looks saw: the number of new ones, and whether any had to be set aside.';
