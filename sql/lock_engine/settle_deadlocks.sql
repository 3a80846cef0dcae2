-- Vanished cycles without a log record: a deadlock if the counter rose and a member's end fits. While the log can be read
-- it is given two seconds to say so itself. What nothing confirms within 40 s went otherwise (a timeout, a cancel). Where
-- nobody watched in between, how it ended is not known: only the log can make an event of it.
-- A cycle that cannot be settled is set aside: it stays open, and the others are settled.
CREATE OR REPLACE FUNCTION lock_engine.settle_deadlocks(OUT stored integer, OUT failed boolean)
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_timeout interval := current_setting('deadlock_timeout')::interval;
  v_log boolean := coalesce((SELECT s.readable FROM lock_log.state s WHERE s.state_id = 1), false);
  v_seen record;
  v_open integer;
  v_hk bytea;
  v_guess record;
  v_guesses jsonb := '{}';
  v_aside text[] := '{}';
  v_sqlstate text;
  v_message text;
  v_detail text;
  v_schema text;
  v_table text;
  v_constraint text;
BEGIN
  stored := 0;
  UPDATE lock_engine.deadlock_observation o SET outcome = 'end not seen', settled_at = v_now
   WHERE o.outcome IS NULL AND o.gone_at IS NOT NULL
     AND EXISTS (SELECT FROM lock_engine.unwatched_spans(o.last_seen, o.gone_at) u WHERE u.reason <> 'before the first look');
  FOR v_seen IN
    SELECT o.* FROM lock_engine.deadlock_observation o
     WHERE o.outcome IS NULL AND o.gone_at IS NOT NULL AND o.evidence IS NOT NULL
       AND (NOT v_log OR o.gone_at < v_now - interval '2 seconds')
  LOOP
    BEGIN
      SELECT v.pid AS victim, v.happened_at, v.score INTO v_guess
        FROM lock_engine.deadlock_victim(v_seen.members, v_seen.evidence, v_seen.last_seen, v_seen.gone_at, v_timeout) v;
      v_guesses := v_guesses || jsonb_build_object(v_seen.observation_key, to_jsonb(v_guess));
    EXCEPTION
      WHEN OTHERS THEN
        IF lock_engine.ends_all(SQLSTATE) THEN
          RAISE;
        END IF;
        v_sqlstate := SQLSTATE;
        GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL, v_schema = SCHEMA_NAME, v_table = TABLE_NAME, v_constraint = CONSTRAINT_NAME;
        v_message := lock_engine.failure_in_words(SQLSTATE, SQLERRM, v_detail, v_schema, v_table, v_constraint);
        v_aside := array_append(v_aside, v_seen.pids::text);
    END;
  END LOOP;

  FOR v_seen IN
    SELECT o.*, (g.value ->> 'victim')::integer AS victim, (g.value ->> 'happened_at')::timestamptz AS happened_at,
           (g.value ->> 'score')::integer AS score
      FROM jsonb_each(v_guesses) g JOIN lock_engine.deadlock_observation o ON o.observation_key = g.key
     ORDER BY (g.value ->> 'score')::integer DESC, o.gone_at
  LOOP
    BEGIN
      SELECT coalesce(sum(l.counted - l.captured), 0) INTO v_open FROM lock_engine.deadlock_ledger l
       WHERE NOT l.settled AND l.database_name = v_seen.database_name AND l.window_end >= v_seen.last_seen;
      IF v_open > 0 AND v_seen.score >= 6 THEN
        v_hk := lock_engine.store_deadlock(NULL, v_seen.happened_at, v_seen.victim, v_seen.members, ARRAY['sampling'],
                                           v_seen.database_name, NULL, NULL);
        UPDATE lock_engine.deadlock_observation o SET outcome = 'deadlock', settled_at = v_now, deadlock_event_hk = v_hk
         WHERE o.observation_key = v_seen.observation_key;
        PERFORM lock_engine.settle_ledger();
        stored := stored + 1;
      ELSIF v_seen.gone_at < v_now - interval '40 seconds'
        AND NOT EXISTS (SELECT FROM lock_catalog.sessions s
                         WHERE s.pid = v_seen.victim AND s.state = 'idle in transaction (aborted)'
                           AND s.state_change <= v_seen.gone_at) THEN
        UPDATE lock_engine.deadlock_observation o SET outcome = 'resolved otherwise', settled_at = v_now
         WHERE o.observation_key = v_seen.observation_key;
      END IF;
    EXCEPTION
      WHEN OTHERS THEN
        IF lock_engine.ends_all(SQLSTATE) THEN
          RAISE;
        END IF;
        v_sqlstate := SQLSTATE;
        GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL, v_schema = SCHEMA_NAME, v_table = TABLE_NAME, v_constraint = CONSTRAINT_NAME;
        v_message := lock_engine.failure_in_words(SQLSTATE, SQLERRM, v_detail, v_schema, v_table, v_constraint);
        v_aside := array_append(v_aside, v_seen.pids::text);
    END;
  END LOOP;
  failed := v_aside <> '{}';
  IF failed THEN
    PERFORM lock_engine.part_failed('seen deadlocks', v_sqlstate, v_message, cardinality(v_aside),
                                    'pids ' || array_to_string(v_aside[1:5], ', '));
  END IF;
  -- a cycle nobody looked at any more (the loop stopped): its end was not seen
  UPDATE lock_engine.deadlock_observation o SET outcome = 'end not seen', settled_at = v_now
   WHERE o.outcome IS NULL AND o.gone_at IS NULL AND o.last_seen < v_now - interval '2 minutes';
  DELETE FROM lock_engine.deadlock_observation o WHERE o.outcome IS NOT NULL AND o.last_seen < v_now - interval '1 day';
END
$$;
COMMENT ON FUNCTION lock_engine.settle_deadlocks() IS
  'Makes events of vanished cycles that the counter confirms, and closes those that were no deadlock: the number of new events, and '
  'whether any cycle had to be set aside.';
