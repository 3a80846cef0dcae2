CREATE OR REPLACE FUNCTION lock_admin.decide_policies()
RETURNS TABLE (policy text, mode text, session_pid integer, decision text, message text, action_id bigint, pending boolean)
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  v_now timestamptz := clock_timestamp();
  v_match record;
  v_rules lock_admin.policy_s;
  v_action text;
  v_spared text;
  v_request record;
  v_filed jsonb := '{}';
BEGIN
  FOR v_match IN
    WITH g AS MATERIALIZED (SELECT w.* FROM lock_catalog.waits_for() AS w),
    b AS (
      SELECT g.*, round(extract(epoch FROM v_now - g.blocking_since)::numeric, 1) AS seconds,
             ARRAY(SELECT DISTINCT x.schema_name || '.' || x.relation_name FROM g AS x
                    WHERE x.is_waiting AND g.node = ANY (x.roots) AND x.relation_name IS NOT NULL) AS relations
        FROM g WHERE g.is_root AND g.node > 0),
    matched AS MATERIALIZED (
      SELECT b.node, b.blocked_seconds, b.pid, b.backend_start, b.xact_start, b.query_start, b.state, b.severity, b.blocked_total, b.seconds,
             b.kind, b.user_name, b.application_name, b.database_name, b.is_superuser, b.backend_type, b.query,
             lock_admin.refusal_message(lock_admin.refusal_code(b.pid, b.user_name, b.is_superuser, b.backend_type, NULL, b.query,
               b.application_name, b.database_name, true), b.pid) AS refused,
             -- cancelling helps where a statement runs and can be stopped; after the grace period the session goes
             CASE WHEN p.action = 'terminate' THEN 'terminate'
                  WHEN (SELECT k.cancel FROM lock_engine.blocker_kinds() AS k WHERE k.kind = b.kind) <> 'no' AND b.state = 'active' AND c.at IS NULL
                    THEN 'cancel'
                  WHEN p.action = 'cancel' THEN 'nothing'
                  WHEN c.at > v_now - make_interval(secs => p.grace_seconds::double precision) THEN 'grace'
                  ELSE 'terminate' END AS action,
             h.policy_bk, m.mode, m.load_date AS mode_since, p AS rules, p.policy_hk,
             lock_admin.policy_spares(p, v_now, b.user_name, b.application_name, b.database_name,
               CASE WHEN p.tenant_patterns <> '{}' THEN
                 (SELECT t.tenant_bk
                    FROM lock_engine.tenant_names(ARRAY[lock_engine.tenant_of(b.user_name, b.application_name)]) AS t) END,
               b.relations, b.kind, b.is_root, b.blocked_total, b.seconds) AS spared
        FROM b CROSS JOIN lock_admin.policy_mode_s AS m
        JOIN lock_admin.policy_s AS p ON p.policy_hk = m.policy_hk AND p.load_end_date IS NULL AND p.version = m.version
        JOIN lock_admin.policy_h AS h ON h.policy_hk = m.policy_hk
        CROSS JOIN LATERAL (
          SELECT max(a.logged_at) AS at FROM lock_admin.action_log AS a
           WHERE a.step = 'signal' AND a.action = 'cancel' AND a.policy_hk = m.policy_hk AND a.target_pid = b.pid
             AND a.target_backend_start = b.backend_start AND a.logged_at > v_now - interval '1 hour') AS c
       WHERE m.load_end_date IS NULL AND m.mode <> 'off'),
    scored AS MATERIALIZED (
      SELECT x.*, lock_engine.severity_score(x.severity, x.blocked_total, x.seconds, x.blocked_seconds) AS score FROM matched AS x),
    -- what each policy may stop in this run, the worst first
    may AS (
      SELECT x.policy_hk, array_agg(x.node ORDER BY x.score DESC NULLS LAST, x.node) FILTER (WHERE x.action <> 'grace') AS nodes,
             array_agg(x.node) FILTER (WHERE x.action = 'grace') AS leaving,
             CASE WHEN l.hour_left > 0 THEN least(l.max_per_run, l.hour_left) ELSE l.max_per_run END AS most,
             l.hour_left < l.max_per_run AS hourly
        FROM scored AS x
        CROSS JOIN LATERAL (
          SELECT (x.rules).max_per_run, (x.rules).max_per_hour - CASE WHEN x.mode = 'armed' THEN lock_admin.signals_in_last_hour(x.policy_hk) ELSE 0 END
                   AS hour_left OFFSET 0) AS l
       WHERE x.spared IS NULL AND x.refused IS NULL AND x.action <> 'nothing'
       GROUP BY x.policy_hk, l.hour_left, l.max_per_run),
    graph AS MATERIALIZED (SELECT ARRAY(SELECT g::lock_catalog.graph FROM g) AS nodes),
    effect AS (
      SELECT m.policy_hk, f.node, f.frees
        FROM may AS m CROSS JOIN graph AS w CROSS JOIN LATERAL lock_catalog.worth_stopping(w.nodes, m.nodes, m.leaving, m.most) AS f),
    without_limits AS (
      SELECT m.policy_hk, f.node FROM may AS m CROSS JOIN graph AS w CROSS JOIN LATERAL lock_catalog.freed_by(w.nodes, m.nodes || m.leaving) AS f)
    SELECT x.*, e.frees, n.node IS NOT NULL AS limited, m.hourly
      FROM scored AS x
      LEFT JOIN may AS m ON m.policy_hk = x.policy_hk
      LEFT JOIN effect AS e ON e.policy_hk = x.policy_hk AND e.node = x.node
      LEFT JOIN without_limits AS n ON n.policy_hk = x.policy_hk AND n.node = x.node
     ORDER BY x.mode, x.score DESC NULLS LAST, x.policy_bk, x.node
  LOOP
    CONTINUE WHEN v_match.spared IS NOT NULL AND v_match.spared NOT IN ('protected user', 'protected application', 'maintenance window',
      'a kind that only a person stops');
    v_rules := v_match.rules;
    v_action := v_match.action;
    CONTINUE WHEN v_action = 'grace';
    v_spared := coalesce(v_match.spared, v_match.refused,
      CASE WHEN v_action = 'nothing' THEN 'it only cancels statements, and this session runs none or was cancelled already' END,
      -- chosen by effect: whom it frees with what else this policy stops in this run
      CASE WHEN v_match.frees IS NULL AND NOT v_match.limited THEN 'its end would free nobody: those behind it wait for others, too' END,
      CASE WHEN v_match.frees IS NULL AND v_match.hourly THEN format('limit of %s in an hour', v_rules.max_per_hour)
           WHEN v_match.frees IS NULL THEN 'limit of this run' END,
      CASE WHEN coalesce((v_filed ->> v_match.policy_bk)::integer, 0) >= v_rules.max_per_run THEN 'limit of this run' END);

    IF v_spared IS NULL AND v_match.mode = 'armed' THEN
      IF lock_admin.policy_failures(v_match.policy_hk, v_match.mode_since, v_rules.breaker_minutes, v_match.user_name,
           v_match.application_name) >= v_rules.breaker_failures THEN
        PERFORM lock_admin.trip_breaker(v_match.policy_hk, v_rules.version, v_rules.breaker_failures);
        RETURN QUERY SELECT v_match.policy_bk, 'dry_run', v_match.pid, 'disarmed',
          format('%s stops in a row did not help: the policy was disarmed.', v_rules.breaker_failures), NULL::bigint, false;
        -- the rest of this run belongs to a policy that is no longer armed
        RETURN;
      END IF;
      IF lock_admin.signals_in_last_hour(v_match.policy_hk) >= v_rules.max_per_hour THEN
        v_spared := format('limit of %s in an hour', v_rules.max_per_hour);
      END IF;
    END IF;

    IF v_spared IS NULL AND v_match.mode = 'armed' THEN
      CONTINUE WHEN EXISTS (
        SELECT 1 FROM lock_admin.action_log AS a
         WHERE a.step = 'request' AND a.target_pid = v_match.pid AND a.target_backend_start = v_match.backend_start
           AND a.action = v_action AND a.origin = 'policy' AND a.logged_at > v_now - interval '10 seconds');
      SELECT f.* INTO v_request
        FROM lock_admin.file_request(v_action, v_match.pid, v_match.backend_start, v_match.xact_start,
               format('Policy "%s", version %s: %s, %s sessions behind it, the first for %s s; %s go on at once.', v_match.policy_bk,
                      v_rules.version, v_match.severity, v_match.blocked_total, v_match.seconds, v_match.frees),
               false, NULL, 'policy', v_match.policy_hk, v_rules.version) AS f;
      v_filed := jsonb_set(v_filed, ARRAY[v_match.policy_bk],
                           to_jsonb(coalesce((v_filed ->> v_match.policy_bk)::integer, 0) + 1));
      INSERT INTO lock_admin.policy_decision (policy_hk, version, mode, pid, backend_start, xact_start, decision, why, severity,
        blocked_total, blocked_for_seconds, action_id)
      VALUES (v_match.policy_hk, v_rules.version, v_match.mode, v_match.pid, v_match.backend_start, v_match.xact_start,
        CASE WHEN v_request.accepted THEN v_action ELSE 'refused' END, v_request.message, v_match.severity, v_match.blocked_total,
        v_match.seconds, v_request.action_id);
      RETURN QUERY SELECT v_match.policy_bk, v_match.mode, v_match.pid, v_action, v_request.message, v_request.action_id,
        v_request.accepted;
    ELSE
      INSERT INTO lock_admin.policy_decision (policy_hk, version, mode, pid, backend_start, xact_start, decision, why, severity,
        blocked_total, blocked_for_seconds, facts)
      VALUES (v_match.policy_hk, v_rules.version, v_match.mode, v_match.pid, v_match.backend_start, v_match.xact_start,
        CASE WHEN v_spared IS NULL THEN 'would ' || v_action ELSE 'spared' END, coalesce(v_spared, format(
          '%s sessions behind it, the first for %s s; %s would go on at once', v_match.blocked_total, v_match.seconds, v_match.frees)), v_match.severity,
        v_match.blocked_total, v_match.seconds, jsonb_build_object('user_name', v_match.user_name,
          'application_name', v_match.application_name, 'kind', v_match.kind, 'query', left(v_match.query, 500)))
      ON CONFLICT DO NOTHING;
      IF FOUND THEN
        IF v_spared IS NULL THEN
          v_filed := jsonb_set(v_filed, ARRAY[v_match.policy_bk],
                               to_jsonb(coalesce((v_filed ->> v_match.policy_bk)::integer, 0) + 1));
        END IF;
        RETURN QUERY SELECT v_match.policy_bk, v_match.mode, v_match.pid,
          CASE WHEN v_spared IS NULL THEN 'would ' || v_action ELSE 'spared' END, v_spared, NULL::bigint, false;
      END IF;
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION lock_admin.decide_policies() IS
  'Internal: compares the blockers of this moment with the active policies; records decisions, files requests, trips breakers.';
