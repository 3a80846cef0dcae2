-- Everything here is computed from what was stored. What PostgreSQL cannot know stays NULL and is named in the column
-- unknown: it has no lock escalation and no intent locks; timeouts stand only in the server log.
CREATE OR REPLACE FUNCTION lock_monitoring.analyze_lock_waits(
  p_tenant_hk bytea DEFAULT NULL, p_analysis_period_hours integer DEFAULT 24)
RETURNS TABLE (analysis_summary varchar(200), total_lock_events integer, blocking_events integer,
               average_wait_time_ms numeric(10,2), efficiency_score numeric(5,2), recommendations text[])
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1s'
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  v_now timestamptz := clock_timestamp();
  v_end timestamptz := date_trunc('minute', v_now) + interval '1 minute';
  v_start timestamptz;
  v_tenant bytea;
  v_bk text;
  v_hk bytea;
  a record;
  v_previous numeric;
  v_begin_before timestamptz;
  v_least numeric := (lock_admin.setting('compare.min_watched_share') #>> '{}')::numeric;
  v_share numeric;
  v_share_before numeric;
  v_watched numeric;
  v_expected numeric;
  v_starts timestamptz[];
  v_ends timestamptz[];
  v_before double precision[];
  v_timeouts integer;
  v_claimed integer;
  v_unknown text[] := ARRAY['lock_escalation_events: PostgreSQL does not escalate locks',
                            'intent_lock_conflicts: PostgreSQL has no intent locks',
                            'forecast_next_period: two periods do not carry a forecast'];
  v_advice text[];
  v_diff bytea;
  v_message text;
  v_detail text;
  v_schema text;
  v_table text;
  v_constraint text;
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  PERFORM lock_engine.require_writable('lock_monitoring.analyze_lock_waits');
  PERFORM lock_engine.check_tenant(p_tenant_hk);
  IF p_analysis_period_hours IS NULL OR p_analysis_period_hours < 1 OR p_analysis_period_hours > 8784 THEN
    RAISE EXCEPTION 'p_analysis_period_hours must be between 1 and 8784 hours, not %.',
      coalesce(p_analysis_period_hours::text, 'NULL') USING ERRCODE = 'invalid_parameter_value';
  END IF;
  PERFORM lock_engine.roll_up_waits();
  v_start := v_end - make_interval(hours => p_analysis_period_hours);
  v_begin_before := v_start - (v_end - v_start);
  SELECT g.starts, g.ends, g.seconds INTO v_starts, v_ends, v_before FROM lock_engine.gap_steps(v_start, v_now) g;
  v_watched := lock_engine.watched_seconds(v_start, v_now, v_starts, v_ends, v_before);
  v_share := lock_engine.watched_share(v_start, v_now);
  v_share_before := lock_engine.watched_share(v_begin_before, v_start);
  v_tenant := coalesce(p_tenant_hk, lock_engine.system_tenant());

  WITH
  w AS MATERIALIZED (SELECT x.* FROM lock_engine.waits_between(p_tenant_hk, v_start, v_end) x),
  own AS (SELECT w.* FROM w WHERE w.is_own),
  seen AS MATERIALIZED (
    SELECT s.lock_activity_hk, s.load_date, coalesce(s.load_end_date, v_now) AS gone
      FROM lock_monitoring.lock_activity_s s
      JOIN lock_monitoring.lock_activity_h h ON h.lock_activity_hk = s.lock_activity_hk
     WHERE s.load_date < v_end AND (s.load_end_date IS NULL OR s.load_end_date > v_start)
       AND (p_tenant_hk IS NULL OR h.tenant_hk = p_tenant_hk)),
  steps AS (
    SELECT sum(sum(d.change)) OVER (ORDER BY d.at) AS held
      FROM (SELECT greatest(s.load_date, v_start) AS at, 1 AS change FROM seen s
            UNION ALL SELECT s.gone, -1 FROM seen s WHERE s.gone < v_end) d
     GROUP BY d.at),
  episode AS MATERIALIZED (
    SELECT s.blocking_session_hk
      FROM lock_monitoring.blocking_session_s s
      JOIN lock_monitoring.blocking_session_h h ON h.blocking_session_hk = s.blocking_session_hk
     WHERE s.load_date < v_end AND (s.load_end_date IS NULL OR s.load_end_date > v_start)
       AND (p_tenant_hk IS NULL OR h.tenant_hk = p_tenant_hk)
     GROUP BY s.blocking_session_hk),
  -- what each session waited for at once behind roots of one user counts once
  behind AS (
    SELECT b.user_name, b.until,
           greatest(b.since, max(b.until) OVER (PARTITION BY b.user_name, b.session ORDER BY b.since, b.until
                                                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS counts_from
      FROM lock_engine.behind_roots(v_start, v_end) b
      LEFT JOIN lock_monitoring.blocking_session_h h ON h.blocking_session_hk = b.blocking_session_hk
     WHERE b.user_name IS NOT NULL AND (p_tenant_hk IS NULL OR h.tenant_hk = p_tenant_hk)),
  -- seconds in which at least one session waited: islands of overlapping waits
  islands AS (
    SELECT min(i.s) AS s, max(i.e) AS e
      FROM (SELECT x.*, count(*) FILTER (WHERE x.s > x.reach OR x.reach IS NULL) OVER (ORDER BY x.s, x.e) AS island
              FROM (SELECT greatest(w.wait_start, v_start) AS s, least(w.wait_end, v_end) AS e,
                           max(least(w.wait_end, v_end)) OVER (ORDER BY greatest(w.wait_start, v_start), least(w.wait_end, v_end)
                             ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reach
                      FROM w) x) i
     GROUP BY i.island),
  hot AS (
    SELECT coalesce(w.relation_name, split_part(w.object_key, ':', 1) || ' (table unknown)') AS object, count(*) AS waits,
           round(sum(w.object_seconds), 3) AS seconds
      FROM w WHERE w.for_object GROUP BY 1)
  SELECT (SELECT count(DISTINCT s.lock_activity_hk) FROM seen s)::integer AS events,
         (SELECT count(*) FROM episode)::integer AS episodes,
         (SELECT count(*) FROM lock_monitoring.deadlock_event_s d
            JOIN lock_monitoring.deadlock_event_h h ON h.deadlock_event_hk = d.deadlock_event_hk
           WHERE d.load_end_date IS NULL AND d.deadlock_timestamp >= v_start AND d.deadlock_timestamp < v_end
             AND (p_tenant_hk IS NULL OR h.tenant_hk = p_tenant_hk))::integer AS deadlocks,
         (SELECT count(*) FROM own)::integer AS waits,
         (SELECT count(*) FROM own WHERE own.wait_start_is_bound)::integer AS bounds,
         (SELECT count(*) FROM own WHERE NOT own.goes_on AND own.wait_end_at_most > own.wait_end)::integer AS open_ends,
         coalesce((SELECT sum(extract(epoch FROM own.wait_end_at_most - own.wait_end)) FROM own WHERE NOT own.goes_on), 0)::numeric AS more_seconds,
         (SELECT avg(own.wait_seconds) * 1000 FROM own) AS average_ms,
         (SELECT max(own.wait_seconds) * 1000 FROM own) AS max_ms,
         (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY own.wait_seconds) * 1000 FROM own)::numeric AS p50_ms,
         (SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY own.wait_seconds) * 1000 FROM own)::numeric AS p95_ms,
         coalesce((SELECT sum(w.own_seconds) FROM w), 0) AS blocked_seconds,
         (SELECT w.relation_name FROM w WHERE w.relation_name IS NOT NULL
           GROUP BY 1 ORDER BY sum(w.object_seconds) DESC, 1 LIMIT 1) AS table_name,
         (SELECT b.user_name FROM behind b
           GROUP BY 1 ORDER BY sum(lock_engine.watched_seconds(b.counts_from, least(b.until, v_now), v_starts, v_ends, v_before)) DESC, 1
           LIMIT 1) AS blocking_user,
         (SELECT w.user_name FROM w WHERE w.user_name IS NOT NULL
           GROUP BY 1 ORDER BY sum(w.own_seconds) DESC, 1 LIMIT 1) AS blocked_user,
         coalesce((SELECT max(s.held) FROM steps s), 0)::integer AS peak,
         coalesce((SELECT sum(lock_engine.watched_seconds(i.s, least(i.e, v_now), v_starts, v_ends, v_before)) FROM islands i), 0)::numeric
           AS busy_seconds,
         (SELECT jsonb_agg(jsonb_build_object('object', h.object, 'waits', h.waits, 'blocked_seconds', h.seconds)
                           ORDER BY h.seconds DESC, h.object)
            FROM (SELECT * FROM hot ORDER BY hot.seconds DESC, hot.object LIMIT 10) h) AS hotspots,
         (SELECT count(*) FROM own w WHERE w.lock_type IN ('transactionid', 'tuple'))::integer AS row_waits,
         (SELECT count(*) FROM own w WHERE w.lock_type NOT IN ('transactionid', 'tuple')
             AND w.lock_mode IN ('AccessShareLock', 'RowShareLock', 'ShareLock'))::integer AS shared_waits,
         (SELECT count(*) FROM own w WHERE w.lock_type NOT IN ('transactionid', 'tuple')
             AND w.lock_mode NOT IN ('AccessShareLock', 'RowShareLock', 'ShareLock'))::integer AS exclusive_waits,
         (SELECT coalesce(bool_or(lock_engine.within_hours(lock_admin.setting('analysis.business_hours'),
                   greatest(w.wait_start, v_start), w.wait_end)),
                 CASE WHEN jsonb_typeof(lock_admin.setting('analysis.business_hours')) = 'object' THEN false END) FROM w)
           AS in_business_hours,
         (SELECT coalesce(bool_or(lock_engine.within_hours(lock_admin.setting('analysis.maintenance_hours'),
                   greatest(w.wait_start, v_start), w.wait_end)),
                 CASE WHEN jsonb_typeof(lock_admin.setting('analysis.maintenance_hours')) = 'object' THEN false END) FROM w)
           AS in_maintenance
    INTO a;

  SELECT coalesce(sum(p.own_seconds), 0) INTO v_previous
    FROM lock_engine.waits_between(p_tenant_hk, v_begin_before, v_start) p;
  -- what this period would have if it were as the one before, an hour watched for an hour watched
  IF least(v_share, v_share_before) > 0 THEN
    v_expected := v_previous * v_watched / (v_share_before * extract(epoch FROM v_start - v_begin_before)::numeric);
  END IF;
  IF p_tenant_hk IS NOT NULL THEN
    v_unknown := v_unknown || 'lock_timeout_events: the server log does not say which tenant'::text;
  ELSE
    v_timeouts := lock_log.lock_timeouts_between(v_start, v_end);
    v_claimed := lock_log.claimed_between('lock_timeout', v_start, v_end);
  END IF;
  IF v_claimed > 0 THEN
    v_unknown := v_unknown || format('lock_timeout_events: %s claimed in the log, not counted', v_claimed);
  ELSIF p_tenant_hk IS NULL AND v_timeouts IS NULL THEN
    v_unknown := v_unknown || 'lock_timeout_events: only the server log has them, and it was not read'::text;
  END IF;
  IF v_share_before = 0 THEN
    v_unknown := v_unknown || 'trend_direction: nobody watched in the period before'::text;
  ELSIF least(v_share, v_share_before) < v_least THEN
    v_unknown := v_unknown || format('trend_direction: %s %% of the period and %s %% of the one before were watched, %s %% of each are asked for',
                                     round(100 * v_share, 1), round(100 * v_share_before, 1), round(100 * v_least, 1));
  END IF;
  IF v_watched = 0 THEN
    v_unknown := v_unknown || 'lock_efficiency_score: nobody watched in the period'::text;
  END IF;
  IF a.bounds > 0 THEN
    v_unknown := v_unknown || format('%s of %s waits: their beginning is known as a bound only', a.bounds, a.waits);
  END IF;
  IF a.open_ends > 0 THEN
    v_unknown := v_unknown || format('%s of %s waits: their end is known between two looks only; all times are the least, together at most %s s more',
                                     a.open_ends, a.waits, ceil(a.more_seconds * 10) / 10);
  END IF;

  v_advice := array_remove(ARRAY[
    CASE WHEN a.waits > 0 THEN NULL
         WHEN v_share > 0.9999 THEN 'Nobody waited for a lock in this period.'
         WHEN v_watched > 0 THEN format('Nobody was seen waiting for a lock; %s %% of this period were watched.', round(100 * v_share, 2))
         ELSE 'This period was not watched.' END,
    CASE WHEN a.waits > 0 AND a.table_name IS NOT NULL THEN format(
      '%s cost the most waiting: keep transactions on it short, and touch it last in a transaction.', a.table_name) END,
    CASE WHEN EXISTS (SELECT 1 FROM lock_monitoring.blocking_session_s b
                        JOIN lock_monitoring.blocking_session_h h ON h.blocking_session_hk = b.blocking_session_hk
                       WHERE b.kind = 'idle_in_transaction' AND b.is_root AND b.load_date >= v_start
                         AND b.blocking_duration_seconds >= 10 AND (p_tenant_hk IS NULL OR h.tenant_hk = p_tenant_hk))
      THEN 'Sessions idle in a transaction blocked others for over 10 s: set idle_in_transaction_session_timeout for their logins.' END,
    CASE WHEN EXISTS (SELECT 1 FROM lock_monitoring.blocking_session_s b
                        JOIN lock_monitoring.blocking_session_h h ON h.blocking_session_hk = b.blocking_session_hk
                       WHERE b.kind = 'queued_ddl' AND b.load_date >= v_start
                         AND (p_tenant_hk IS NULL OR h.tenant_hk = p_tenant_hk))
      THEN 'A change of a table''s definition queued and everybody queued behind it: run such changes with a lock_timeout and retry.' END,
    CASE WHEN a.deadlocks > 0 THEN format('%s in the period: see their patterns for the order of locks to agree on.',
      CASE a.deadlocks WHEN 1 THEN '1 deadlock' ELSE a.deadlocks || ' deadlocks' END) END,
    CASE WHEN a.row_waits > a.waits / 2 AND a.row_waits > 10
      THEN 'Most waits are for rows, not tables: a few rows are updated by many sessions; spread or shorten those updates.' END],
    NULL);

  v_bk := left(coalesce(encode(p_tenant_hk, 'hex'), 'all') || '|' || p_analysis_period_hours || 'h|'
               || to_char(v_end AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"'), 255);
  v_hk := sha256(convert_to(v_bk, 'UTF8'));
  v_diff := sha256(convert_to(concat_ws('|', a.events, a.episodes, a.deadlocks, a.waits, round(a.blocked_seconds), v_timeouts,
                                         round(v_share, 3), round(v_share_before, 3)), 'UTF8'));
  PERFORM lock_engine.defer_keys(v_now);
  PERFORM lock_engine.store_analysis_hub(v_hk, v_bk, v_tenant, v_now);
  PERFORM 1 FROM lock_monitoring.lock_wait_analysis_h h WHERE h.lock_wait_analysis_hk = v_hk FOR UPDATE;
  IF NOT EXISTS (SELECT 1 FROM lock_monitoring.lock_wait_analysis_s s
                  WHERE s.lock_wait_analysis_hk = v_hk AND s.load_end_date IS NULL AND s.hash_diff = v_diff) THEN
    v_now := greatest(v_now, (SELECT max(s.load_date) + interval '1 microsecond' FROM lock_monitoring.lock_wait_analysis_s s
                               WHERE s.lock_wait_analysis_hk = v_hk AND s.load_end_date IS NULL));
    UPDATE lock_monitoring.lock_wait_analysis_s s SET load_end_date = v_now
     WHERE s.lock_wait_analysis_hk = v_hk AND s.load_end_date IS NULL;
    INSERT INTO lock_monitoring.lock_wait_analysis_s (
      lock_wait_analysis_hk, load_date, load_end_date, hash_diff, analysis_period_start, analysis_period_end, total_lock_events,
      blocking_events, deadlock_events, average_lock_wait_time_ms, max_lock_wait_time_ms, lock_timeout_events,
      most_contended_table, most_blocking_user, most_blocked_user, peak_concurrent_locks, lock_efficiency_score,
      contention_hotspots, recommended_optimizations, lock_escalation_events, shared_lock_conflicts, exclusive_lock_conflicts,
      update_lock_conflicts, intent_lock_conflicts, performance_impact_score, business_hours_impact,
      maintenance_window_impact, trend_direction, forecast_next_period, record_source, p50_lock_wait_time_ms,
      p95_lock_wait_time_ms, blocked_seconds, previous_blocked_seconds, unknown, watched_share, previous_watched_share)
    VALUES (
      v_hk, v_now, NULL, v_diff, v_start, v_end, a.events, a.episodes, a.deadlocks, round(a.average_ms, 2), round(a.max_ms, 2),
      v_timeouts, left(a.table_name, 200), a.blocking_user, a.blocked_user, a.peak,
      CASE WHEN v_watched > 0 THEN round(100 * (1 - least(a.busy_seconds / v_watched, 1)), 2) END, a.hotspots, v_advice, NULL,
      a.shared_waits, a.exclusive_waits, a.row_waits, NULL,
      round(a.blocked_seconds / nullif(v_watched, 0), 4), a.in_business_hours, a.in_maintenance,
      CASE WHEN v_expected IS NULL OR least(v_share, v_share_before) < v_least THEN NULL
           WHEN a.blocked_seconds > v_expected * 1.2 + 1 THEN 'RISING'
           WHEN a.blocked_seconds < v_expected / 1.2 - 1 THEN 'FALLING' ELSE 'STABLE' END,
      NULL, 'analyze_lock_waits', round(a.p50_ms, 2), round(a.p95_ms, 2), round(a.blocked_seconds, 3),
      CASE WHEN v_share_before > 0 THEN round(v_previous, 3) END, v_unknown, round(v_share, 6), round(v_share_before, 6));
  END IF;

  RETURN QUERY SELECT
    left(format('%s waits in %s h, %s blocked seconds, %s blocking episodes, %s deadlocks%s%s', a.waits, p_analysis_period_hours,
                round(a.blocked_seconds), a.episodes, a.deadlocks,
                CASE WHEN v_share < 1 THEN format('; %s %% of this time were watched', floor(10000 * v_share) / 100) END,
                coalesce('; most contended: ' || a.table_name, '')), 200)::varchar(200),
    a.events, a.episodes, CASE WHEN a.average_ms IS NOT NULL THEN least(round(a.average_ms, 2), 99999999.99) END::numeric(10,2),
    CASE WHEN v_watched > 0 THEN round(100 * (1 - least(a.busy_seconds / v_watched, 1)), 2) END::numeric(5,2), v_advice;
  PERFORM lock_engine.place_rows();
EXCEPTION
  WHEN check_violation THEN
    GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL, v_schema = SCHEMA_NAME, v_table = TABLE_NAME, v_constraint = CONSTRAINT_NAME;
    v_message := lock_engine.failure_in_words(SQLSTATE, SQLERRM, v_detail, v_schema, v_table, v_constraint);
    IF v_message = SQLERRM THEN
      RAISE;
    END IF;
    RAISE EXCEPTION '%', v_message USING ERRCODE = 'check_violation';
END
$$;
COMMENT ON FUNCTION lock_monitoring.analyze_lock_waits(bytea, integer) IS
  'Analyses the stored waits of the last hours (default 24) and keeps the result. average_wait_time_ms: over all waits, true '
  'wait times, NULL if nobody waited. efficiency_score: percent of the watched time in which nobody '
  'waited for a lock, NULL if nothing was watched.';
