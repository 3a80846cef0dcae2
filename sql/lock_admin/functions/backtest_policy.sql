-- Replays the present rules over stored blocking episodes: the first moment of each at which the policy would have acted, whom
-- that frees at once (lock_catalog.freed_by), how long those went on waiting, and which had ended by themselves within five seconds. What a
-- stop changes afterwards cannot be known: who follows the freed ones, and when. A policy does not act while nobody watches, nor where
-- nobody is freed, neither alone nor together with what else it stops; only watched seconds are saved.
CREATE OR REPLACE FUNCTION lock_admin.backtest_policy(
  p_policy text, p_from timestamptz DEFAULT NULL, p_to timestamptz DEFAULT NULL, p_ran_by text DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  v_to timestamptz := coalesce(p_to, clock_timestamp());
  v_from timestamptz := coalesce(p_from, v_to - interval '7 days');
  v_rules lock_admin.policy_s;
  v_stop record;
  v_times timestamptz[] := '{}';
  v_results jsonb := '[]';
  v_episodes integer;
  v_stops integer := 0;
  v_held_back integer := 0;
  v_soon integer := 0;
  v_saved numeric := 0;
  v_held boolean;
  -- what matched and has not ended: stopped, or spared until another one that is in the way, too, matches
  v_matched jsonb := '[]';
  v_nodes bigint[];
  v_one record;
  v_effect record;
  v_behind lock_catalog.graph[];
  v_freed integer := 0;
  v_counted jsonb := '{}';
  v_matches integer := 0;
  v_nobody integer;
  v_unknown integer := 0;
  v_id bigint;
  v_seen timestamptz := lock_engine.seen_until(coalesce(p_to, clock_timestamp()));
  v_starts timestamptz[];
  v_ends timestamptz[];
  v_before double precision[];
BEGIN
  IF current_user <> 'lock_door_owner' THEN PERFORM lock_engine.require_owner('lock_door_owner'); END IF;
  PERFORM lock_engine.require_writable('lock_admin.backtest_policy', false);
  SELECT p.* INTO v_rules FROM lock_admin.policy_h AS h JOIN lock_admin.policy_s AS p USING (policy_hk)
   WHERE h.policy_bk = p_policy AND p.load_end_date IS NULL;
  IF v_rules.policy_hk IS NULL THEN
    RAISE EXCEPTION 'There is no policy named "%".', p_policy USING ERRCODE = 'invalid_parameter_value';
  ELSIF v_from >= v_to THEN
    RAISE EXCEPTION 'The period must begin before it ends.' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  SELECT g.starts, g.ends, g.seconds INTO v_starts, v_ends, v_before FROM lock_engine.gap_steps(v_from, v_to) g;
  SELECT count(DISTINCT s.blocking_session_hk) INTO v_episodes
    FROM lock_monitoring.blocking_session_s AS s
   WHERE s.load_date < v_to AND coalesce(s.load_end_date, 'infinity') > v_from;

  FOR v_stop IN
    WITH s AS MATERIALIZED (
      SELECT b.*, greatest(b.load_date, v_from) AS began, least(coalesce(b.load_end_date, v_seen), v_to) AS ended,
             t.tenant_bk
        FROM lock_monitoring.blocking_session_s AS b
        JOIN lock_monitoring.blocking_session_h AS h ON h.blocking_session_hk = b.blocking_session_hk
        LEFT JOIN lock_engine.tenant_names() AS t ON t.tenant_hk = h.tenant_hk
       WHERE b.load_date < v_to AND coalesce(b.load_end_date, 'infinity') > v_from AND b.node > 0),
    -- moments at which the answer may change within one stored row
    moments AS (
      SELECT s.*, m.at
        FROM s CROSS JOIN LATERAL (
          SELECT s.began AS at
          UNION SELECT s.blocking_since + make_interval(secs => x.seconds)
                  FROM unnest(ARRAY[v_rules.min_blocked_seconds::double precision, 2, 10, 60, 300]) AS x(seconds)
          UNION SELECT x.at FROM unnest(v_ends) AS x(at)
          UNION SELECT g.at FROM generate_series(date_trunc('minute', s.began) + interval '1 minute',
                                                 least(s.ended, s.began + interval '1 day'), interval '1 minute') AS g(at)
                 WHERE v_rules.time_windows <> '[]' OR v_rules.pause_windows <> '[]') AS m
       WHERE m.at >= s.began AND m.at < s.ended
         AND NOT coalesce(m.at > v_starts[width_bucket(m.at, v_starts)] AND m.at < v_ends[width_bucket(m.at, v_starts)], false)),
    first_match AS (
      SELECT DISTINCT ON (m.blocking_session_hk) m.*
        FROM moments AS m
       WHERE coalesce(m.is_superuser, false) IS FALSE
         AND lock_admin.refusal_code(m.session_pid, m.user_name, false, m.backend_type, NULL, m.current_query,
               m.application_name, m.database_name, true) IS NULL
         AND lock_admin.policy_spares(v_rules, m.at, m.user_name, m.application_name, m.database_name, m.tenant_bk,
               CASE WHEN v_rules.relation_patterns <> '{}' THEN ARRAY(
                 SELECT DISTINCT a.schema_name || '.' || a.table_name
                   FROM lock_monitoring.lock_blocking_l AS l
                   JOIN lock_monitoring.lock_activity_s AS a ON a.lock_activity_hk = l.lock_activity_hk
                  WHERE l.blocking_session_hk = m.blocking_session_hk AND a.table_name IS NOT NULL) END,
               m.kind, m.is_root, m.blocked_sessions_count,
               round(extract(epoch FROM m.at - m.blocking_since)::numeric, 3)) IS NULL
       ORDER BY m.blocking_session_hk, m.at)
    SELECT f.*, e.episode_end, e.ended_how AS how, k.moment, k.again
      FROM first_match AS f
      CROSS JOIN LATERAL (
        SELECT max(s.ended) AS episode_end,
               (array_agg(s.ended_how ORDER BY s.load_date DESC))[1] AS ended_how
          FROM s WHERE s.blocking_session_hk = f.blocking_session_hk) AS e
      -- once more whenever its waits changed: who was in the way with it may have gone
      CROSS JOIN LATERAL (
        SELECT f.at AS moment, false AS again
        UNION ALL
        SELECT c.moment, true
          FROM (SELECT DISTINCT s.load_date AS moment
                  FROM lock_monitoring.lock_blocking_l AS l
                  JOIN lock_monitoring.lock_activity_s AS s ON s.lock_activity_hk = l.lock_activity_hk
                 WHERE l.blocking_session_hk = f.blocking_session_hk AND NOT s.lock_granted AND s.load_date > f.at AND s.load_date < e.episode_end
                 ORDER BY 1 LIMIT 100) AS c) AS k
     ORDER BY k.moment, k.again, f.node
  LOOP
    CONTINUE WHEN v_stop.again AND NOT EXISTS (
      SELECT FROM jsonb_array_elements(v_matched) AS m
       WHERE m ->> 'stopped' IS NULL AND m ->> 'episode' = encode(v_stop.blocking_session_hk, 'hex'));
    v_matched := (SELECT coalesce(jsonb_agg(m ORDER BY m ->> 'at', m ->> 'node'), '[]') FROM jsonb_array_elements(v_matched) AS m
                   WHERE (m ->> 'ended')::timestamptz > v_stop.moment);
    IF NOT v_stop.again THEN
      v_matches := v_matches + 1;
      v_matched := v_matched || jsonb_build_object(
        'at', v_stop.moment, 'episode', encode(v_stop.blocking_session_hk, 'hex'), 'node', v_stop.node, 'pid', v_stop.session_pid,
        'user_name', v_stop.user_name, 'application_name', v_stop.application_name, 'kind', v_stop.kind,
        'severity', v_stop.blocking_severity, 'blocked', v_stop.blocked_sessions_count, 'ended', v_stop.episode_end,
        'ended_how', v_stop.how, 'query', left(v_stop.current_query, 200));
    END IF;
    v_nodes := ARRAY(SELECT (m ->> 'node')::bigint FROM jsonb_array_elements(v_matched) AS m);
    -- this one, and those that another one was in the way with
    FOR v_one IN
      SELECT m.value AS facts, m.place - 1 AS place, decode(m.value ->> 'episode', 'hex') AS episode, (m.value ->> 'node')::bigint AS node,
             (m.value ->> 'ended')::timestamptz AS ended
        FROM jsonb_array_elements(v_matched) WITH ORDINALITY AS m(value, place)
       WHERE m.value ->> 'stopped' IS NULL
    LOOP
      v_behind := lock_admin.past_waits(v_one.episode, v_stop.moment);
      SELECT count(*)::integer AS found, max(f.frees) AS frees, coalesce(sum(t.saved), 0) AS saved,
             coalesce(sum(t.waits), 0)::integer AS waits, (array_agg(t.keys))[1] AS keys
        INTO v_effect
        FROM lock_catalog.freed_by(v_behind, v_nodes) AS f
        CROSS JOIN LATERAL (
          SELECT count(*) AS waits, jsonb_object_agg(w.key, true) AS keys,
                 sum(lock_engine.watched_seconds(v_stop.moment, least(u.until, v_to), v_starts, v_ends, v_before))::numeric AS saved
            FROM (SELECT DISTINCT s.lock_activity_hk, s.wait_start, concat(encode(s.lock_activity_hk, 'hex'), ' ', s.wait_start) AS key
                    FROM lock_monitoring.lock_blocking_l AS l
                    JOIN lock_monitoring.lock_activity_s AS s ON s.lock_activity_hk = l.lock_activity_hk
                   WHERE l.blocking_session_hk = v_one.episode AND NOT s.lock_granted AND s.load_date <= v_stop.moment
                     AND coalesce(s.load_end_date, 'infinity') > v_stop.moment AND lock_engine.waits_itself(s.beside)
                     AND coalesce(s.lock_group, s.lock_pid) = ANY (f.freed)) AS w
           CROSS JOIN LATERAL (
             SELECT max(coalesce(lock_engine.wait_until(x.load_end_date, x.last_seen_at, x.log_end_at), v_seen)) AS until
               FROM lock_monitoring.lock_activity_s AS x
              WHERE x.lock_activity_hk = w.lock_activity_hk AND x.wait_start = w.wait_start AND NOT x.lock_granted) AS u
           -- who waited for two that are stopped is freed once
           WHERE NOT v_counted ? w.key) AS t
       WHERE f.node = v_one.node;
      CONTINUE WHEN v_effect.found = 0 AND v_behind <> '{}';
      v_held := (SELECT count(*) FROM unnest(v_times) AS x(at) WHERE x.at > v_stop.moment - interval '1 hour') >= v_rules.max_per_hour;
      IF v_held THEN
        v_held_back := v_held_back + 1;
      ELSE
        v_times := v_times || v_stop.moment;
        v_stops := v_stops + 1;
        v_freed := v_freed + v_effect.waits;
        v_counted := v_counted || coalesce(v_effect.keys, '{}');
        v_saved := v_saved + v_effect.saved;
        v_unknown := v_unknown + (v_behind = '{}')::integer;
        IF v_one.ended - v_stop.moment <= interval '5 seconds' THEN
          v_soon := v_soon + 1;
        END IF;
      END IF;
      v_matched := jsonb_set(v_matched, ARRAY[v_one.place::text, 'stopped'], 'true');
      IF jsonb_array_length(v_results) < 500 THEN
        v_results := v_results || jsonb_build_array((v_one.facts - 'node') || jsonb_build_object(
          'at', v_stop.moment, 'held_back', v_held, 'frees', v_effect.frees,
          'saved_seconds', CASE WHEN v_behind <> '{}' THEN round(v_effect.saved, 1) END,
          'ended_soon_anyway', v_one.ended - v_stop.moment <= interval '5 seconds'));
      END IF;
    END LOOP;
  END LOOP;
  v_nobody := v_matches - v_stops - v_held_back;

  INSERT INTO lock_admin.policy_backtest (policy_hk, version, ran_by, period_from, period_to, episodes, stops, saved_seconds,
    ended_soon_anyway, held_back_by_limit, results, watched_share, freed_at_once, frees_nobody, effect_not_known)
  VALUES (v_rules.policy_hk, v_rules.version, coalesce(nullif(btrim(p_ran_by), ''), session_user::text), v_from, v_to, v_episodes,
    v_stops, round(v_saved, 1), v_soon, v_held_back, v_results, round(lock_engine.watched_share(v_from, v_to), 6),
    v_freed, v_nobody, v_unknown)
  RETURNING backtest_id INTO v_id;
  RETURN v_id;
END
$$;
COMMENT ON FUNCTION lock_admin.backtest_policy(text, timestamptz, timestamptz, text) IS
  'Replays a policy over stored history (default: the last 7 days) and returns the number of the row in lock_admin.policy_backtest.';
