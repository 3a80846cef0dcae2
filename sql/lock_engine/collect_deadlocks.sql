-- Takes what is new about deadlocks: the log since the last call, the counters, the cycles that vanished. Nothing new
-- costs a look at a file and at the counters. One at a time: whoever comes second leaves it to the first. A table locked
-- by somebody else is not waited for: what is new stays for the next call.
-- Log, counters and events are parts: where one fails, it is counted (lock_engine.part_state) and the others go on; an event
-- that cannot be stored is set aside and tried again with each call.
CREATE OR REPLACE FUNCTION lock_engine.collect_deadlocks()
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
  c_parts constant text[] := ARRAY['server log', 'ends of waits', 'deadlock counters', 'logged deadlocks', 'deadlock ledger', 'seen deadlocks'];
  v_began timestamptz := clock_timestamp();
  -- a cycle before this in the same transaction has its rows placed last of all, and ours with them
  v_own boolean := lock_engine.unplaced_since() IS NULL;
  v_new integer := 0;
  v_taken integer := 0;
  v_failed text[] := '{}';
  v_part text;
  v_some record;
  v_message text;
  v_detail text;
  v_schema text;
  v_table text;
  v_constraint text;
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  IF NOT pg_try_advisory_xact_lock(460, 5) THEN
    RETURN 0;
  END IF;
  BEGIN
    FOREACH v_part IN ARRAY c_parts LOOP
      BEGIN
        CASE v_part
          WHEN 'server log' THEN
            v_taken := lock_log.read_server_log();
          WHEN 'ends of waits' THEN
            -- a wait ends for us with a cycle that stored something
            IF v_taken > 0 OR NOT v_own THEN
              PERFORM lock_engine.settle_endings();
            END IF;
          WHEN 'deadlock counters' THEN
            PERFORM lock_engine.count_deadlocks();
          WHEN 'logged deadlocks' THEN
            IF EXISTS (SELECT FROM lock_log.event e WHERE NOT e.handled) THEN
              IF EXISTS (SELECT FROM lock_log.event e WHERE NOT e.handled AND e.standing = 'claimed') THEN
                PERFORM lock_engine.prove_claims();
              END IF;
              IF EXISTS (SELECT FROM lock_log.event e WHERE NOT e.handled AND e.standing IS DISTINCT FROM 'claimed') THEN
                PERFORM lock_engine.defer_keys(v_began);
                SELECT x.* INTO v_some FROM lock_engine.store_logged_deadlocks() x;
                v_new := v_new + v_some.stored;
                IF v_some.failed THEN
                  v_failed := array_append(v_failed, v_part);
                END IF;
              END IF;
            END IF;
          WHEN 'deadlock ledger' THEN
            IF v_new > 0 OR EXISTS (SELECT FROM lock_engine.deadlock_ledger l WHERE NOT l.settled) THEN
              PERFORM lock_engine.settle_ledger();
            END IF;
          ELSE
            IF EXISTS (SELECT FROM lock_engine.deadlock_observation o WHERE o.outcome IS NULL) THEN
              -- without a loop nobody else looks whether a ring that a cycle saw is gone
              IF EXISTS (SELECT FROM lock_engine.deadlock_observation o
                          WHERE o.outcome IS NULL AND o.gone_at IS NULL AND o.last_seen < clock_timestamp() - interval '1 second') THEN
                PERFORM lock_engine.look_for_deadlocks();
              END IF;
              PERFORM lock_engine.defer_keys(v_began);
              SELECT x.* INTO v_some FROM lock_engine.settle_deadlocks() x;
              v_new := v_new + v_some.stored;
              IF v_some.failed THEN
                v_failed := array_append(v_failed, v_part);
              END IF;
            END IF;
        END CASE;
      EXCEPTION
        WHEN OTHERS THEN
          IF lock_engine.ends_all(SQLSTATE) THEN
            RAISE;
          END IF;
          v_failed := array_append(v_failed, v_part);
          GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL, v_schema = SCHEMA_NAME, v_table = TABLE_NAME, v_constraint = CONSTRAINT_NAME;
          v_message := lock_engine.failure_in_words(SQLSTATE, SQLERRM, v_detail, v_schema, v_table, v_constraint);
          PERFORM lock_engine.part_failed(v_part, SQLSTATE, v_message);
      END;
    END LOOP;
    IF EXISTS (SELECT FROM lock_engine.part_state p WHERE p.failures_in_a_row > 0) THEN
      PERFORM lock_engine.part_ok(x.part) FROM unnest(c_parts) x (part) WHERE x.part <> ALL (v_failed);
    END IF;
  EXCEPTION
    WHEN lock_not_available THEN
      RETURN NULL;
  END;
  IF v_own AND lock_engine.unplaced_since() IS NOT NULL THEN
    PERFORM lock_engine.place_rows();
  END IF;
  RETURN v_new;
END
$$;
COMMENT ON FUNCTION lock_engine.collect_deadlocks() IS
  'Stores the deadlocks newly known from log, counter and looks; how many are new, NULL if a table was locked. What fails of it is counted in lock_engine.part_state and takes nothing else along.';
ALTER FUNCTION lock_engine.collect_deadlocks() OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_engine.collect_deadlocks() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.collect_deadlocks() TO lock_monitoring_role;
