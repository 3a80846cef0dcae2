-- What a part of a cycle does after its whole statement has failed: store what can be stored, and find out which records
-- cannot. The records (sessions, or nodes of the graph) are halved again and again; each half that works is stored, and one
-- that fails alone is set aside: its open rows stay as they are. Two runs more where only those of the last time fail, some
-- 2 x log2(n) for each new one, and no more than a second of it: what is not told apart by then is set aside as it is.
CREATE OR REPLACE FUNCTION lock_engine.store_apart(
  p_part text, p_now timestamptz, p_min_age interval, p_everything boolean, p_own_pids integer[], p_anyone_waits boolean,
  p_unseen_since timestamptz, p_blockers lock_catalog.graph[], p_sqlstate text, p_message text,
  p_seen jsonb DEFAULT NULL,
  OUT set_aside bigint[], OUT told_apart boolean)
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c_budget constant interval := interval '1 second';
  v_began timestamptz := clock_timestamp();
  v_all bigint[];
  v_before bigint[] := coalesce((SELECT p.records FROM lock_engine.part_state p
                                  WHERE p.part = p_part AND p.failures_in_a_row > 0), '{}');
  v_from integer[] := '{}';
  v_to integer[] := '{}';
  v_a integer;
  v_b integer;
  v_apart bigint[];
  v_first boolean := true;
  v_sqlstate text := p_sqlstate;
  v_message text := p_message;
  v_detail text;
  v_schema text;
  v_table text;
  v_constraint text;
  v_ok boolean;
BEGIN
  v_all := lock_engine.records_of(p_part, p_blockers, p_seen);
  set_aside := '{}';
  told_apart := true;
  -- those that failed the last time come last, so that all others are stored together at once
  SELECT coalesce(array_agg(x.record ORDER BY x.record = ANY (v_before), x.record), '{}') INTO v_all FROM unnest(v_all) x (record);
  v_a := (SELECT count(*) FROM unnest(v_all) x (record) WHERE x.record <> ALL (v_before));
  IF v_a BETWEEN 1 AND cardinality(v_all) - 1 THEN
    v_from := ARRAY[v_a + 1, 1];
    v_to := ARRAY[cardinality(v_all), v_a];
  ELSIF cardinality(v_all) > 0 THEN
    v_from := ARRAY[1];
    v_to := ARRAY[cardinality(v_all)];
  END IF;

  WHILE cardinality(v_from) > 0 LOOP
    v_a := v_from[cardinality(v_from)];
    v_b := v_to[cardinality(v_to)];
    v_from := v_from[1:cardinality(v_from) - 1];
    v_to := v_to[1:cardinality(v_to) - 1];
    v_apart := v_all[1:v_a - 1] || v_all[v_b + 1:];
    IF clock_timestamp() > v_began + c_budget THEN
      set_aside := set_aside || v_all[v_a:v_b];
      told_apart := false;
      CONTINUE;
    END IF;
    -- that everything together fails is known
    v_ok := NOT (v_first AND cardinality(v_apart) = 0);
    v_first := false;
    IF v_ok THEN
      BEGIN
        PERFORM lock_engine.store_part(p_part, p_now, p_min_age, p_everything, p_own_pids, p_anyone_waits, p_unseen_since, p_blockers, p_seen, v_apart);
      EXCEPTION
        WHEN OTHERS THEN
          IF lock_engine.ends_all(SQLSTATE) THEN
            RAISE;
          END IF;
          v_ok := false;
          v_sqlstate := SQLSTATE;
          GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL, v_schema = SCHEMA_NAME, v_table = TABLE_NAME, v_constraint = CONSTRAINT_NAME;
          v_message := lock_engine.failure_in_words(SQLSTATE, SQLERRM, v_detail, v_schema, v_table, v_constraint);
      END;
    END IF;
    CONTINUE WHEN v_ok;
    IF v_a = v_b THEN
      set_aside := set_aside || v_all[v_a];
    ELSE
      v_from := v_from || ARRAY[(v_a + v_b) / 2 + 1, v_a];
      v_to := v_to || ARRAY[v_b, (v_a + v_b) / 2];
    END IF;
  END LOOP;
  PERFORM lock_engine.part_failed(p_part, v_sqlstate, v_message,
    CASE WHEN cardinality(set_aside) < cardinality(v_all) THEN cardinality(set_aside) ELSE 0 END,
    (SELECT string_agg(CASE WHEN x.record > 0 THEN 'pid ' || x.record WHEN x.record < 0 THEN 'prepared transaction ' || -x.record
                            ELSE 'prepared transactions' END, ', ' ORDER BY x.record)
       FROM unnest(set_aside[1:10]) x (record)) || CASE WHEN told_apart THEN '' ELSE ', among which at least one fails' END,
    set_aside);
END
$$;
COMMENT ON FUNCTION lock_engine.store_apart(text, timestamptz, interval, boolean, integer[], boolean, timestamptz,
  lock_catalog.graph[], text, text, jsonb) IS
  'Stores the locks, episodes or links of a cycle without the records that fail, and counts the failure; returns those records '
  '(pids, or nodes of the graph). Called by lock_engine.store_look after the part''s own statement has failed.';
