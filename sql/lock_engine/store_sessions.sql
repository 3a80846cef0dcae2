-- Compares the blockers of the waits-for graph with the open blocking episodes and stores the difference. An episode
-- begins with the first wait behind a session and ends when nobody waits behind it any more; its hub is keyed by the
-- session and that beginning.
-- lock_engine.store_sessions_seen is made of this text, for a look that was kept (store_kept.sql).
-- p_unseen_since: nobody has looked since then. An episode lasted through if somebody behind it has waited from before on;
-- any other ended somewhere between: its row ends with the last sight, ended_by is now.
CREATE OR REPLACE FUNCTION lock_engine.store_sessions(
  p_now timestamptz, p_blockers lock_catalog.graph[], p_unseen_since timestamptz, p_apart bigint[] DEFAULT '{}',
  OUT blockers integer, OUT roots integer, OUT critical integer, OUT written integer,
  OUT refresh_at timestamptz, OUT recommendations text[])
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET plan_cache_mode = force_generic_plan
SET enable_nestloop = off
SET enable_mergejoin = off
SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
  v_steps double precision[] := lock_engine.duration_steps();
  v_restarted timestamptz := pg_postmaster_start_time();
  v_claims text[];
BEGIN
  -- the usual case, without the price of the statement below
  IF coalesce(cardinality(p_blockers), 0) = 0
     AND NOT EXISTS (SELECT 1 FROM lock_monitoring.blocking_session_s x WHERE x.load_end_date IS NULL) THEN
    blockers := 0;
    roots := 0;
    critical := 0;
    written := 0;
    RETURN;
  END IF;

  v_claims := lock_engine.claim_patterns();
  WITH
  b AS MATERIALIZED (
    SELECT g.*, date_part('epoch', p_now - g.blocking_since) AS seconds_so_far,
           hashtextextended(concat_ws('|', g.node, g.backend_start, g.blocked_total, g.blocked_directly, g.blocking_since, g.is_root, g.kind,
             g.severity, g.state, g.query, g.xact_start, g.locks_held, g.exclusive_locks_held, g.hard_blockers,
             g.soft_blockers, g.roots, g.wait_start, g.backend_xid), 0) AS print
      FROM unnest(p_blockers) g WHERE g.node <> ALL (p_apart)),
  o AS MATERIALIZED (
    SELECT x.blocking_session_hk, x.load_date, x.node, x.session_start_time, x.fingerprint, x.refresh_at,
           x.transaction_start, x.session_pid, x.blocking_since
      FROM lock_monitoring.blocking_session_s x WHERE x.load_end_date IS NULL),
  session AS MATERIALIZED (
    SELECT x.pid, x.backend_start, x.xact_start, x.client_addr, x.backend_type FROM lock_catalog.sessions x),
  paired AS MATERIALIZED (
    SELECT b.node, o.blocking_session_hk, o.load_date, o.refresh_at,
           o.fingerprint = b.print AND o.refresh_at > p_now AS unchanged
      FROM b JOIN o ON o.node = b.node AND o.session_start_time IS NOT DISTINCT FROM b.backend_start
                   AND (p_unseen_since IS NULL OR b.blocking_since <= p_unseen_since)),
  fresh AS MATERIALIZED (
    SELECT b.*, p.load_date AS replaces, k.bk,
           coalesce(p.blocking_session_hk, sha256(convert_to(k.bk, 'UTF8'))) AS hk,
           b.blocking_since + make_interval(secs => v_steps[width_bucket(greatest(b.seconds_so_far, 0), v_steps) + 1])
             AS next_refresh
      FROM b LEFT JOIN paired p ON p.node = b.node
      CROSS JOIN LATERAL (SELECT concat_ws('|', b.node,
        coalesce((extract(epoch FROM b.backend_start) * 1000000)::bigint::text, b.prepared_gid, 'unknown'),
        (extract(epoch FROM coalesce(b.blocking_since, p_now)) * 1000000)::bigint) AS bk) k
     WHERE p.unchanged IS NOT TRUE),
  door AS MATERIALIZED (
    SELECT a.target_pid, a.target_backend_start, bool_or(a.action = 'terminate') AS terminated,
           max(a.logged_at) FILTER (WHERE a.action = 'cancel') AS cancelled_at
      FROM lock_admin.action_log a
     WHERE a.step = 'signal' AND a.logged_at BETWEEN p_now - interval '10 minutes' AND p_now + interval '1 second'
     GROUP BY a.target_pid, a.target_backend_start),
  gone AS MATERIALIZED (
    SELECT o.*, CASE
             WHEN o.load_date < v_restarted THEN 'server restarted'
             WHEN s.pid IS NULL AND d.terminated THEN 'terminated'
             WHEN p_unseen_since IS NOT NULL THEN 'unknown'
             WHEN o.node < 0 THEN 'released'
             WHEN s.pid IS NULL THEN 'session gone'
             WHEN d.cancelled_at >= o.blocking_since THEN 'cancelled'
             WHEN s.xact_start IS NOT DISTINCT FROM o.transaction_start THEN 'waiters gone'
             ELSE 'released' END AS how
      FROM o
      LEFT JOIN session s ON s.pid = o.session_pid AND s.backend_start = o.session_start_time
      LEFT JOIN door d ON d.target_pid = o.session_pid AND d.target_backend_start = o.session_start_time
     WHERE NOT EXISTS (SELECT 1 FROM paired p WHERE p.blocking_session_hk = o.blocking_session_hk)
       AND coalesce(o.node, 0) <> ALL (p_apart)),
  ended AS (
    UPDATE lock_monitoring.blocking_session_s x
       SET load_end_date = e.until, ended_how = e.how, ended_at = CASE WHEN e.how IS NOT NULL THEN e.until END,
           ended_by = CASE WHEN e.how IS NOT NULL AND p_unseen_since IS NOT NULL
                           THEN CASE WHEN e.how = 'server restarted' THEN v_restarted ELSE greatest(p_now, e.until) END END
      FROM (SELECT f.hk, f.replaces AS load_date, NULL::text AS how,
                   greatest(p_now, f.replaces + interval '1 microsecond') AS until
              FROM fresh f WHERE f.replaces IS NOT NULL
            UNION ALL
            SELECT n.blocking_session_hk, n.load_date, n.how,
                   CASE WHEN p_unseen_since IS NULL THEN greatest(p_now, n.load_date + interval '1 microsecond')
                        ELSE greatest(p_unseen_since, n.load_date + interval '1 microsecond') END
              FROM gone n) e
     WHERE x.blocking_session_hk = e.hk AND x.load_date = e.load_date AND x.load_end_date IS NULL
    RETURNING 1),
  hubs AS (
    INSERT INTO lock_monitoring.blocking_session_h (blocking_session_hk, blocking_session_bk, tenant_hk, load_date, record_source)
    SELECT f.hk, f.bk, lock_engine.tenant_of(f.user_name, f.application_name), p_now, 'pg_blocking_pids'
      FROM fresh f
     WHERE f.replaces IS NULL
       -- it may be aside, where ON CONFLICT does not look; a look-up each
       AND (SELECT h.load_date FROM lock_monitoring.blocking_session_h h WHERE h.blocking_session_hk = f.hk) IS NULL
    ON CONFLICT DO NOTHING
    RETURNING 1),
  clients AS (
    SELECT s.client_addr, count(*)::integer AS connections FROM session s
     WHERE s.backend_type = 'client backend' AND EXISTS (SELECT 1 FROM fresh)
     GROUP BY s.client_addr),
  satellites AS (
    INSERT INTO lock_monitoring.blocking_session_s (
      blocking_session_hk, load_date, load_end_date, hash_diff, session_pid, session_start_time, user_name, database_name,
      application_name, client_addr, client_hostname, session_state, current_query, query_start, transaction_start,
      state_change, blocked_sessions_count, total_locks_held, exclusive_locks_held, blocking_duration_seconds,
      blocking_severity, blocking_impact_score, auto_kill_eligible, kill_threshold_seconds, escalation_level, last_activity,
      connection_count_from_client, is_superuser, backend_type, record_source, node, is_root, kind, recommended_action,
      blocking_since, blocked_seconds, directly_blocked_count, hard_blockers, soft_blockers, root_nodes, wait_start,
      waits_for, prepared_gid, backend_xid, query_truncated, query_id, query_fingerprint, fingerprint, refresh_at,
      tenant_claim)
    SELECT f.hk, greatest(p_now, f.replaces + interval '1 microsecond'), NULL,
           sha256(int8send(f.print) || int4send(width_bucket(greatest(f.seconds_so_far, 0), v_steps))),
           f.pid, f.backend_start, left(f.user_name, 100), left(f.database_name, 100), left(f.application_name, 200),
           f.client_addr, left(f.client_hostname, 200), left(f.state, 20), f.query, f.query_start, f.xact_start,
           f.state_change, f.blocked_total, f.locks_held, f.exclusive_locks_held,
           floor(greatest(f.seconds_so_far, 0))::integer, f.severity, f.blocked_seconds,
           f.is_root AND f.node > 0
             AND lock_admin.refusal_code(f.pid, f.user_name, f.is_superuser, f.backend_type, NULL, f.query,
                                         f.application_name, f.database_name, true) IS NULL,
           300, lock_engine.severity_rank(f.severity) - 1, f.state_change,
           CASE WHEN f.node > 0 THEN c.connections END, f.is_superuser, f.backend_type, 'pg_blocking_pids',
           f.node, f.is_root, f.kind, f.recommended_action, f.blocking_since, f.blocked_seconds, f.blocked_directly,
           f.hard_blockers, f.soft_blockers, f.roots, f.wait_start,
           CASE WHEN f.waits IS NOT NULL
                  THEN (SELECT string_agg(concat(m.wait ->> 'lock_mode', ' on ', m.wait ->> 'object_name'), '; ' ORDER BY m.n)
                          FROM jsonb_array_elements(f.waits) WITH ORDINALITY m (wait, n))
                WHEN f.is_waiting THEN f.lock_mode || ' on ' || f.object_name END, f.prepared_gid, f.backend_xid,
           f.query_truncated, f.query_id, lock_engine.query_fingerprint(f.query), f.print, f.next_refresh,
           lock_engine.session_claim(v_claims, f.application_name, f.user_name, f.database_name, NULL)
      FROM fresh f LEFT JOIN clients c ON c.client_addr IS NOT DISTINCT FROM f.client_addr
     WHERE (SELECT count(*) FROM ended) >= 0
    RETURNING 1)
  SELECT (SELECT count(*) FROM b)::integer,
         (SELECT count(*) FROM b WHERE b.is_root)::integer,
         (SELECT count(*) FROM b WHERE b.is_root AND b.severity = 'CRITICAL')::integer,
         ((SELECT count(*) FROM ended) + (SELECT count(*) FROM hubs) + (SELECT count(*) FROM satellites))::integer,
         least((SELECT min(p.refresh_at) FROM paired p WHERE p.unchanged), (SELECT min(f.next_refresh) FROM fresh f)),
         (SELECT array_agg(r.line ORDER BY r.place) FROM (
            SELECT row_number() OVER (ORDER BY lock_engine.severity_score(b.severity, b.blocked_total, b.seconds_so_far::numeric,
                     b.blocked_seconds) DESC NULLS LAST, b.node) AS place,
                   format('%s: %s %s behind it. %s', b.severity, b.blocked_total,
                          CASE b.blocked_total WHEN 1 THEN 'session waits' ELSE 'sessions wait' END, b.recommended_action) AS line
              FROM b WHERE b.is_root OR b.kind = 'queued_ddl') r WHERE r.place <= 10)
    INTO blockers, roots, critical, written, refresh_at, recommendations;
END
$$;
COMMENT ON FUNCTION lock_engine.store_sessions(timestamptz, lock_catalog.graph[], timestamptz, bigint[]) IS
  'Stores what changed among the blocking sessions since the last cycle. Called by lock_engine.store_look only. p_apart: nodes '
  'whose episodes are left as they are.';
