-- Stores a deadlock, or a new version of one. One place for every source.
CREATE OR REPLACE FUNCTION lock_engine.store_deadlock(
  p_event_hk bytea, p_at timestamptz, p_victim integer, p_participants jsonb, p_sources text[], p_database text,
  p_victim_query text, p_excerpt text)
RETURNS bytea
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_pids integer[] := ARRAY(SELECT (e ->> 'pid')::integer FROM jsonb_array_elements(p_participants) WITH ORDINALITY x(e, n) ORDER BY x.n);
  v_first jsonb := (SELECT e FROM jsonb_array_elements(p_participants) e WHERE (e ->> 'pid')::integer = p_victim LIMIT 1);
  v_bk text;
  v_hk bytea := p_event_hk;
  v_tenant bytea;
  v_pattern text := lock_engine.deadlock_pattern(p_participants);
  v_closed timestamptz := (SELECT CASE WHEN count(*) = count(e ->> 'wait_start') AND count(*) > 1
                                       THEN max((e ->> 'wait_start')::timestamptz) END FROM jsonb_array_elements(p_participants) e);
  v_victim_query text := coalesce(p_victim_query, v_first ->> 'query');
  v_unknown text[];
  v_graph jsonb;
  v_id text;
  v_diff bytea;
  v_similar integer;
  v_today integer;
  v_caught boolean := EXISTS (SELECT FROM jsonb_array_elements(p_participants) x WHERE x ? 'caught');
  -- of a caught one the log has the victim's wait only; a look may have the ring
  v_ring boolean := NOT EXISTS (SELECT FROM jsonb_array_elements(p_participants) x WHERE NOT x ? 'blocked_by');
  e jsonb;
  v_lock_bk text;
  v_lock_hk bytea;
BEGIN
  v_first := coalesce(v_first, p_participants -> 0);
  v_tenant := lock_engine.tenant_of(v_first ->> 'user', v_first ->> 'application');
  IF v_hk IS NULL THEN
    v_bk := left(format('deadlock|%s|%s', to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                        (SELECT string_agg(p::text, '-' ORDER BY p) FROM unnest(v_pids) p)), 255);
    v_hk := sha256(convert_to(v_bk, 'UTF8'));
    -- ON CONFLICT does not look among what is aside
    INSERT INTO lock_monitoring.deadlock_event_h (deadlock_event_hk, deadlock_event_bk, tenant_hk, load_date, record_source)
    SELECT v_hk, v_bk, v_tenant, v_now, array_to_string(p_sources, ', ')
     WHERE NOT EXISTS (SELECT FROM lock_monitoring.deadlock_event_h h WHERE h.deadlock_event_hk = v_hk)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
      RETURN v_hk;
    END IF;
    v_id := to_char(p_at AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISS.US') || '-' || coalesce(p_victim, v_pids[1]);
  ELSE
    SELECT s.deadlock_id INTO v_id FROM lock_monitoring.deadlock_event_s s WHERE s.deadlock_event_hk = v_hk AND s.load_end_date IS NULL;
  END IF;

  v_unknown := array_remove(ARRAY[
    CASE WHEN p_victim IS NULL THEN 'victim: nothing shows which session was ended' END,
    CASE WHEN cardinality(v_pids) < 2 THEN 'participants: the log has no DETAIL (log_error_verbosity)' END,
    CASE WHEN v_caught AND NOT v_ring THEN 'ring: caught by the application, so that PostgreSQL logged only what the victim waited for and who held it' END,
    CASE WHEN EXISTS (SELECT FROM jsonb_array_elements(p_participants) x WHERE x ? 'texts_claimed')
         THEN 'who took part and their statements, for certain: stderr has them, in which whoever may run statements can write; the counter proves the deadlock alone' END,
    CASE WHEN v_closed IS NULL THEN 'duration: not known since when each one waited' END,
    (SELECT 'row: not shown for the wait' || CASE count(*) WHEN 1 THEN ' of ' ELSE 's of ' END || string_agg(x ->> 'pid', ', ')
       FROM jsonb_array_elements(p_participants) x WHERE x ->> 'lock_type' = 'transactionid' AND NOT x ? 'tuple' HAVING count(*) > 0),
    (SELECT 'user and application of ' || string_agg(x ->> 'pid', ', ')
       FROM jsonb_array_elements(p_participants) x WHERE NOT x ? 'user' HAVING count(*) > 0),
    (SELECT 'statement of ' || string_agg(x ->> 'pid', ', ')
       FROM jsonb_array_elements(p_participants) x WHERE NOT x ? 'query' HAVING count(*) > 0),
    (SELECT 'end of the statement of ' || string_agg(x ->> 'pid', ', ') || ' (cut at track_activity_query_size)'
       FROM jsonb_array_elements(p_participants) x WHERE (x ->> 'query_truncated')::boolean HAVING count(*) > 0),
    CASE WHEN EXISTS (SELECT FROM jsonb_array_elements(p_participants) x WHERE x ? 'statements_ambiguous')
         THEN 'where one statement ends and the next begins: a statement holds a line that looks like log text' END,
    'which earlier statements took the locks held'], NULL);
  v_graph := jsonb_build_object(
    'nodes', (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('pid', (x ->> 'pid')::integer, 'user', x ->> 'user',
                'application', x ->> 'application', 'query', x ->> 'query', 'victim', (x ->> 'pid')::integer = p_victim)) ORDER BY n)
                FROM jsonb_array_elements(p_participants) WITH ORDINALITY y(x, n)),
    'edges', (SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('from', (x ->> 'pid')::integer, 'to', (x ->> 'blocked_by')::integer,
                'wanted', x ->> 'wanted_mode', 'held', x -> 'blocker_holds', 'lock_type', x ->> 'lock_type', 'object', x ->> 'wanted',
                'behind_in_queue', (x ->> 'behind_in_queue')::boolean)) ORDER BY n), '[]')
                FROM jsonb_array_elements(p_participants) WITH ORDINALITY y(x, n) WHERE x ? 'blocked_by'));
  v_diff := sha256(convert_to(concat_ws('|', p_at, p_victim, p_participants::text, array_to_string(p_sources, ',')), 'UTF8'));

  SELECT count(*) + 1, count(*) FILTER (WHERE s.deadlock_timestamp BETWEEN p_at - interval '1 day' AND p_at) + 1 INTO v_similar, v_today
    FROM lock_monitoring.deadlock_event_s s
   WHERE s.load_end_date IS NULL AND s.pattern_hash = v_pattern AND s.deadlock_event_hk <> v_hk AND s.deadlock_timestamp <= p_at;
  v_now := greatest(v_now, (SELECT max(s.load_date) + interval '1 microsecond' FROM lock_monitoring.deadlock_event_s s
                             WHERE s.deadlock_event_hk = v_hk AND s.load_end_date IS NULL));
  UPDATE lock_monitoring.deadlock_event_s s SET load_end_date = v_now WHERE s.deadlock_event_hk = v_hk AND s.load_end_date IS NULL;
  INSERT INTO lock_monitoring.deadlock_event_s (deadlock_event_hk, load_date, load_end_date, hash_diff, deadlock_timestamp, deadlock_id,
    involved_pids, involved_queries, involved_users, deadlock_victim_pid, deadlock_victim_query, deadlock_resolution,
    deadlock_duration_ms, affected_tables, lock_types_involved, deadlock_frequency_score, prevention_suggestion, deadlock_graph,
    business_impact, recovery_time_seconds, data_consistency_affected, automatic_retry_successful, manual_intervention_required,
    similar_deadlocks_count, record_source, pattern_hash, sources, participants, unknown, log_excerpt)
  VALUES (v_hk, v_now, NULL, v_diff, p_at, v_id, v_pids,
    ARRAY(SELECT x ->> 'query' FROM jsonb_array_elements(p_participants) WITH ORDINALITY y(x, n) ORDER BY n),
    ARRAY(SELECT x ->> 'user' FROM jsonb_array_elements(p_participants) WITH ORDINALITY y(x, n) ORDER BY n),
    p_victim, v_victim_query,
    CASE WHEN NOT v_caught THEN 'statement of the victim cancelled' WHEN v_ring THEN 'caught by the application'
         ELSE 'caught by the application; ring not logged' END,
    CASE WHEN v_closed IS NOT NULL THEN greatest(0, extract(epoch FROM p_at - v_closed) * 1000)::integer END,
    (SELECT array_agg(DISTINCT coalesce(x ->> 'table', lock_engine.statement_table(x ->> 'query')))
       FILTER (WHERE coalesce(x ->> 'table', lock_engine.statement_table(x ->> 'query')) IS NOT NULL) FROM jsonb_array_elements(p_participants) x),
    (SELECT array_agg(DISTINCT concat_ws(' ', x ->> 'lock_type', x ->> 'wanted_mode')) FROM jsonb_array_elements(p_participants) x),
    v_today, lock_engine.deadlock_suggestion(p_participants), v_graph, NULL, NULL, NULL, NULL, NULL, v_similar,
    left(array_to_string(p_sources, ', '), 100), v_pattern, p_sources, p_participants, v_unknown, p_excerpt);

  -- one link a participant, to the lock it wanted: the capture's own hub where it has one, else one known by this deadlock
  FOR e IN SELECT x FROM jsonb_array_elements(p_participants) WITH ORDINALITY y(x, n) ORDER BY n LOOP
    v_lock_bk := concat_ws('|', coalesce(e ->> 'process', e ->> 'pid'),
      (extract(epoch FROM (e ->> 'backend_start')::timestamptz) * 1000000)::bigint, e ->> 'object_key', e ->> 'wanted_mode');
    v_lock_hk := sha256(convert_to(v_lock_bk, 'UTF8'));
    IF NOT e ? 'object_key' OR NOT EXISTS (SELECT FROM lock_monitoring.lock_activity_h h WHERE h.lock_activity_hk = v_lock_hk) THEN
      v_lock_bk := left(concat_ws('|', 'deadlock ' || encode(v_hk, 'hex'), e ->> 'pid', coalesce(e ->> 'wanted', 'object not known'),
                                  coalesce(e ->> 'wanted_mode', 'mode not known')), 255);
      v_lock_hk := sha256(convert_to(v_lock_bk, 'UTF8'));
      CONTINUE WHEN p_event_hk IS NOT NULL AND EXISTS (
        SELECT FROM lock_monitoring.deadlock_involvement_l l WHERE l.deadlock_event_hk = v_hk
           AND l.link_deadlock_involvement_hk = sha256(v_hk || convert_to('|' || (e ->> 'pid'), 'UTF8')));
      INSERT INTO lock_monitoring.lock_activity_h (lock_activity_hk, lock_activity_bk, tenant_hk, load_date, record_source)
      SELECT v_lock_hk, v_lock_bk, v_tenant, v_now, 'deadlock: ' || array_to_string(p_sources, ', ')
       WHERE NOT EXISTS (SELECT FROM lock_monitoring.lock_activity_h h WHERE h.lock_activity_hk = v_lock_hk)
      ON CONFLICT DO NOTHING;
    END IF;
    INSERT INTO lock_monitoring.deadlock_involvement_l (link_deadlock_involvement_hk, deadlock_event_hk, lock_activity_hk, tenant_hk, load_date, record_source)
    SELECT k.hk, v_hk, v_lock_hk, v_tenant, v_now, array_to_string(p_sources, ', ')
      FROM (SELECT sha256(v_hk || convert_to('|' || (e ->> 'pid'), 'UTF8')) AS hk) k
     WHERE NOT EXISTS (SELECT FROM lock_monitoring.deadlock_involvement_l l WHERE l.link_deadlock_involvement_hk = k.hk)
    ON CONFLICT DO NOTHING;
  END LOOP;

  INSERT INTO lock_engine.deadlock_capture AS c (deadlock_event_hk, database_name, happened_at, sampled, logged)
  VALUES (v_hk, p_database, p_at, 'sampling' = ANY (p_sources), 'log' = ANY (p_sources))
  ON CONFLICT (deadlock_event_hk) DO UPDATE SET sampled = EXCLUDED.sampled, logged = EXCLUDED.logged, happened_at = EXCLUDED.happened_at;
  RETURN v_hk;
END
$$;
COMMENT ON FUNCTION lock_engine.store_deadlock(bytea, timestamptz, integer, jsonb, text[], text, text, text) IS
  'Stores one deadlock (p_event_hk NULL) or a new version of one, with its links; returns its key. Called under (460,5) only.';
