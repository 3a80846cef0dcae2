-- Replays the present rules over stored blocking episodes: the first moment of each at which the policy would have acted,
-- the blocked seconds after it, and which had ended by themselves within five seconds. A stop that would have changed what
-- came later is not taken into account. A policy does not act while nobody watches, and only watched seconds are saved.
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
    SELECT f.*, e.episode_end, e.ended_how AS how, e.saved
      FROM first_match AS f
      CROSS JOIN LATERAL (
        SELECT max(s.ended) AS episode_end,
               (array_agg(s.ended_how ORDER BY s.load_date DESC))[1] AS ended_how,
               (SELECT coalesce(sum(w.watched), 0) FROM lock_engine.behind_episodes(ARRAY[f.blocking_session_hk], f.at, v_to) AS w)::numeric AS saved
          FROM s WHERE s.blocking_session_hk = f.blocking_session_hk) AS e
     ORDER BY f.at
  LOOP
    v_held := (SELECT count(*) FROM unnest(v_times) AS x(at) WHERE x.at > v_stop.at - interval '1 hour') >= v_rules.max_per_hour;
    IF v_held THEN
      v_held_back := v_held_back + 1;
    ELSE
      v_times := v_times || v_stop.at;
      v_stops := v_stops + 1;
      v_saved := v_saved + v_stop.saved;
      IF v_stop.episode_end - v_stop.at <= interval '5 seconds' THEN
        v_soon := v_soon + 1;
      END IF;
    END IF;
    IF jsonb_array_length(v_results) < 500 THEN
      v_results := v_results || jsonb_build_array(jsonb_build_object(
        'at', v_stop.at, 'episode', encode(v_stop.blocking_session_hk, 'hex'), 'pid', v_stop.session_pid, 'user_name', v_stop.user_name,
        'application_name', v_stop.application_name, 'kind', v_stop.kind, 'severity', v_stop.blocking_severity,
        'blocked', v_stop.blocked_sessions_count, 'ended', v_stop.episode_end, 'ended_how', v_stop.how,
        'saved_seconds', round(v_stop.saved, 1), 'held_back', v_held,
        'ended_soon_anyway', v_stop.episode_end - v_stop.at <= interval '5 seconds', 'query', left(v_stop.current_query, 200)));
    END IF;
  END LOOP;

  INSERT INTO lock_admin.policy_backtest (policy_hk, version, ran_by, period_from, period_to, episodes, stops, saved_seconds,
    ended_soon_anyway, held_back_by_limit, results, watched_share)
  VALUES (v_rules.policy_hk, v_rules.version, coalesce(nullif(btrim(p_ran_by), ''), session_user::text), v_from, v_to, v_episodes,
    v_stops, round(v_saved, 1), v_soon, v_held_back, v_results, round(lock_engine.watched_share(v_from, v_to), 6))
  RETURNING backtest_id INTO v_id;
  RETURN v_id;
END
$$;
COMMENT ON FUNCTION lock_admin.backtest_policy(text, timestamptz, timestamptz, text) IS
  'Replays a policy over stored history (default: the last 7 days) and returns the number of the row in lock_admin.policy_backtest.';
