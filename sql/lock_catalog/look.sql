-- All that a cycle looks at, as one text, for a loop that cannot store at the moment and keeps it: sessions, locks, the graph
-- (pg_blocking_pids() tells of the present only) and prepared transactions. No table is read, so nobody can be in the way;
-- what a cycle takes from settings the caller gives.
-- Where the digest is p_digest and no wait has reached another step of its duration (p_due), nothing is new: seen is NULL.
CREATE OR REPLACE FUNCTION lock_catalog.look(
  p_own_logins text[], p_min_age interval, p_digest numeric DEFAULT NULL, p_due timestamptz DEFAULT NULL,
  OUT seen_at timestamptz, OUT digest numeric, OUT due timestamptz, OUT seen text)
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_nestloop = off
AS $$
#variable_conflict use_variable
DECLARE
  v_own integer[];
  v_digest record;
  v_everything boolean;
  v_sessions lock_catalog.sessions[];
  v_locks lock_catalog.locks[];
  v_graph lock_catalog.graph[] := '{}';
  v_pids integer[];
  v_read_at timestamptz;
  v_steps double precision[] := lock_engine.duration_steps();
BEGIN
  PERFORM pg_stat_clear_snapshot();
  v_own := lock_catalog.pids_of(p_own_logins);
  seen_at := clock_timestamp();
  SELECT d.* INTO v_digest FROM lock_catalog.digest(p_min_age, p_min_age = interval '0', v_own) d;
  digest := v_digest.digest;
  IF digest = p_digest AND (p_due IS NULL OR p_due > seen_at) THEN
    due := p_due;
    RETURN;
  END IF;
  v_sessions := ARRAY(SELECT x FROM lock_catalog.sessions x);
  v_locks := ARRAY(SELECT x FROM lock_catalog.locks x);
  v_read_at := clock_timestamp();
  IF v_digest.waiting > 0 THEN
    v_graph := ARRAY(SELECT g::lock_catalog.graph FROM lock_catalog.graph_of(v_own, v_sessions, v_locks) g);
    SELECT min(g.wait_start + make_interval(secs => v_steps[width_bucket(greatest(date_part('epoch', seen_at - g.wait_start), 0), v_steps) + 1]))
      INTO due FROM unnest(v_graph) g WHERE g.is_waiting;
  END IF;
  v_everything := v_digest.waiting > 0 OR p_min_age = interval '0';
  -- what no cycle would store is not kept
  v_locks := ARRAY(
    SELECT k FROM unnest(v_locks) k LEFT JOIN unnest(v_sessions) s ON s.pid = k.pid
     WHERE coalesce(k.pid, 0) <> ALL (v_own)
       AND (v_everything OR NOT k.granted OR s.pid IS NULL OR coalesce(s.xact_start, s.backend_start) < seen_at - p_min_age));
  v_pids := ARRAY(SELECT DISTINCT k.pid FROM unnest(v_locks) k WHERE k.pid IS NOT NULL);
  -- json, not jsonb: a quarter of the price
  seen := json_build_object(
    'read_at', v_read_at, 'own', to_json(v_own), 'waiting', v_digest.waiting,
    'sessions', (SELECT coalesce(json_agg(jsonb_strip_nulls(to_jsonb(s) - CASE WHEN s.pid = ANY (v_pids) THEN '' ELSE 'query' END)), '[]')
                   FROM unnest(v_sessions) s),
    'locks', (SELECT coalesce(json_agg(k), '[]') FROM unnest(v_locks) k),
    'graph', (SELECT coalesce(json_agg(g), '[]') FROM unnest(v_graph) g),
    'prepared', (SELECT coalesce(json_agg(x), '[]') FROM lock_catalog.prepared x))::text;
END
$$;
COMMENT ON FUNCTION lock_catalog.look(text[], interval, numeric, timestamptz) IS
  'What a cycle would look at now, without touching a table of the vault, for lock_engine.store_seen(); seen is NULL where it is '
  'as it was (p_digest, p_due: of the look before). p_own_logins, p_min_age: settings monitor.own_logins and '
  'capture.min_transaction_age_seconds as the caller knows them.';
