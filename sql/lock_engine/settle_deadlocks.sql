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
  v_log boolean := coalesce((SELECT s.readable FROM lock_log.state s WHERE s.state_id = 1), false);
  v_seen record;
  v_try record;
  v_failure record;
  v_guesses jsonb := '{}';
  v_aside text[] := '{}';
BEGIN
  stored := 0;
  UPDATE lock_engine.deadlock_observation o SET outcome = 'end not seen', settled_at = v_now
   WHERE o.outcome IS NULL AND o.gone_at IS NOT NULL
     AND EXISTS (SELECT FROM lock_engine.unwatched_spans(o.last_seen, o.gone_at) u WHERE u.reason <> 'before the first look');
  FOR v_seen IN
    SELECT o.observation_key, o.pids FROM lock_engine.deadlock_observation o
     WHERE o.outcome IS NULL AND o.gone_at IS NOT NULL AND o.evidence IS NOT NULL
       AND (NOT v_log OR o.gone_at < v_now - interval '2 seconds')
  LOOP
    SELECT t.* INTO v_try FROM lock_engine.try_apart(
      'SELECT to_jsonb(v) FROM lock_engine.deadlock_observation o CROSS JOIN LATERAL lock_engine.deadlock_victim('
      'o.members, o.evidence, o.last_seen, o.gone_at, current_setting(''deadlock_timeout'')::interval) v '
      'WHERE o.observation_key = $1 ->> ''key''', jsonb_build_object('key', v_seen.observation_key)) t;
    IF v_try.error_state IS NOT NULL THEN
      v_failure := v_try;
      v_aside := array_append(v_aside, v_seen.pids::text);
    ELSE
      v_guesses := v_guesses || jsonb_build_object(v_seen.observation_key, v_try.result);
    END IF;
  END LOOP;

  FOR v_seen IN
    SELECT o.pids, g.value || jsonb_build_object('key', g.key) AS guess
      FROM jsonb_each(v_guesses) g JOIN lock_engine.deadlock_observation o ON o.observation_key = g.key
     ORDER BY (g.value ->> 'score')::integer DESC, o.gone_at
  LOOP
    SELECT t.* INTO v_try FROM lock_engine.try_apart(
      'SELECT to_jsonb(lock_engine.settle_deadlock($1 ->> ''key'', ($1 ->> ''pid'')::integer, ($1 ->> ''happened_at'')::timestamptz, '
      '($1 ->> ''score'')::integer))', v_seen.guess) t;
    IF v_try.error_state IS NOT NULL THEN
      v_failure := v_try;
      v_aside := array_append(v_aside, v_seen.pids::text);
    ELSIF v_try.result::boolean THEN
      stored := stored + 1;
    END IF;
  END LOOP;
  failed := v_aside <> '{}';
  IF failed THEN
    PERFORM lock_engine.part_failed('seen deadlocks', v_failure.error_state, v_failure.error_message, cardinality(v_aside),
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
