-- Time lost by waiting within a period, added up from the vault's rows. Rows that were the present ones at its beginning
-- are found by three questions, each within an index: those that began the day before, those that are open still, and the
-- few that stayed unchanged for more than a day. Seconds in which nobody watched are not counted, also where PostgreSQL
-- proves that the wait went on. A wait counts from its beginning until lock_engine.wait_until, as in lock_engine.waits_between. A session whose parallel workers wait, too, waits once (lock_engine.waits_itself).
CREATE OR REPLACE FUNCTION lock_engine.losses(p_dimensions text[], p_from timestamptz, p_to timestamptz)
RETURNS TABLE (dimension text, name text, table_name text, row_page integer, row_tuple integer, seconds double precision,
               begun integer, under_way integer, longest double precision)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
  c_day constant interval := interval '1 day';
  -- while somebody watches a wait is seen so soon after it began
  c_seen_within constant interval := interval '10 seconds';
  v_last timestamptz := lock_engine.seen_until(p_to);
  v_starts timestamptz[];
  v_ends timestamptz[];
  v_before double precision[];
  v_gaps boolean;
BEGIN
  SELECT g.starts, g.ends, g.seconds INTO v_starts, v_ends, v_before FROM lock_engine.gap_steps(p_from, p_to) g;
  v_gaps := cardinality(v_starts) > 0;
  IF p_dimensions && ARRAY['application', 'user', 'query', 'tenant', 'database'] THEN
    RETURN QUERY
    WITH r AS MATERIALIZED (
      SELECT s.blocking_session_hk, s.load_date, s.load_end_date, s.blocking_since,
             s.application_name::text, s.user_name::text, s.query_fingerprint, s.database_name::text
        FROM lock_monitoring.blocking_session_s s WHERE s.is_root AND s.load_date >= p_from AND s.load_date < p_to
      UNION ALL
      SELECT s.blocking_session_hk, s.load_date, s.load_end_date, s.blocking_since,
             s.application_name, s.user_name, s.query_fingerprint, s.database_name
        FROM lock_monitoring.blocking_session_s s
       WHERE s.is_root AND s.load_date > p_from - c_day AND s.load_date < p_from AND s.load_end_date > p_from
      UNION ALL
      SELECT s.blocking_session_hk, s.load_date, s.load_end_date, s.blocking_since,
             s.application_name, s.user_name, s.query_fingerprint, s.database_name
        FROM lock_monitoring.blocking_session_s s WHERE s.is_root AND s.load_date < p_from AND s.load_end_date IS NULL
      UNION ALL
      SELECT s.blocking_session_hk, s.load_date, s.load_end_date, s.blocking_since,
             s.application_name, s.user_name, s.query_fingerprint, s.database_name
        FROM lock_monitoring.blocking_session_s s
       WHERE s.is_root AND s.load_date <= p_from - c_day AND s.load_end_date - s.load_date > interval '1 day'
         AND s.load_end_date > p_from),
    t AS (
      SELECT r.*, r.load_date >= p_from AS begins, p.blocking_session_hk IS NULL AS first,
             p.application_name AS was_application, p.user_name AS was_user, p.query_fingerprint AS was_query,
             p.database_name AS was_database,
             date_part('epoch', least(coalesce(r.load_end_date, v_last), p_to) - coalesce(r.blocking_since, r.load_date)) AS lasted,
             CASE WHEN 'tenant' = ANY (p_dimensions) THEN
               (SELECT encode(h.tenant_hk, 'hex') FROM lock_monitoring.blocking_session_h h
                 WHERE h.blocking_session_hk = r.blocking_session_hk) END AS tenant
        FROM r
        LEFT JOIN LATERAL (
          SELECT s.* FROM lock_monitoring.blocking_session_s s
           WHERE r.load_date >= p_from AND s.blocking_session_hk = r.blocking_session_hk AND s.load_date < r.load_date
             AND s.load_end_date = r.load_date AND s.is_root LIMIT 1) p ON true),
    e AS (
      SELECT d.dimension, d.name, (count(*) FILTER (WHERE t.begins AND (t.first OR d.name IS DISTINCT FROM d.was)))::integer AS begun,
             (count(*) FILTER (WHERE NOT t.begins))::integer AS under_way, max(t.lasted) AS longest
        FROM t CROSS JOIN LATERAL (VALUES
          ('application', t.application_name, t.was_application::text), ('user', t.user_name, t.was_user::text),
          ('query', t.query_fingerprint, t.was_query), ('database', t.database_name, t.was_database::text),
          ('tenant', t.tenant, t.tenant)) AS d (dimension, name, was)
       WHERE d.dimension = ANY (p_dimensions)
       GROUP BY d.dimension, d.name),
    -- the time is that of the waits
    w AS MATERIALIZED (SELECT b.* FROM lock_engine.behind_roots(p_from, p_to) b),
    a AS (
      SELECT w.application_name, w.user_name, w.query_fingerprint, w.database_name, w.blocking_session_hk,
             sum(CASE WHEN v_gaps THEN lock_engine.watched_seconds(w.since, w.until, v_starts, v_ends, v_before)
                      ELSE date_part('epoch', w.until - w.since) END) AS lost
        FROM w WHERE w.is_alone
       GROUP BY w.application_name, w.user_name, w.query_fingerprint, w.database_name, w.blocking_session_hk),
    -- what a session waits for at once behind roots of one name counts once
    cut AS (
      SELECT d.dimension, d.name, w.until,
             greatest(w.since, max(w.until) OVER (PARTITION BY d.dimension, d.name, w.session ORDER BY w.since, w.until
                                                  ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS counts_from
        FROM w
        LEFT JOIN lock_monitoring.blocking_session_h h ON 'tenant' = ANY (p_dimensions) AND h.blocking_session_hk = w.blocking_session_hk
        CROSS JOIN LATERAL (VALUES
          ('application', w.application_name), ('user', w.user_name), ('query', w.query_fingerprint), ('database', w.database_name),
          ('tenant', encode(h.tenant_hk, 'hex'))) AS d (dimension, name)
       WHERE NOT w.is_alone AND d.dimension = ANY (p_dimensions)),
    l AS (
      SELECT d.dimension, d.name, a.lost
        FROM a
        LEFT JOIN lock_monitoring.blocking_session_h h ON 'tenant' = ANY (p_dimensions) AND h.blocking_session_hk = a.blocking_session_hk
        CROSS JOIN LATERAL (VALUES
          ('application', a.application_name), ('user', a.user_name), ('query', a.query_fingerprint), ('database', a.database_name),
          ('tenant', encode(h.tenant_hk, 'hex'))) AS d (dimension, name)
       WHERE d.dimension = ANY (p_dimensions)
      UNION ALL
      SELECT c.dimension, c.name,
             CASE WHEN v_gaps THEN lock_engine.watched_seconds(c.counts_from, c.until, v_starts, v_ends, v_before)
                  ELSE date_part('epoch', greatest(c.until - c.counts_from, interval '0')) END
        FROM cut c)
    SELECT x.dimension, x.name, NULL::text, NULL::integer, NULL::integer, sum(x.lost), sum(x.begun)::integer, sum(x.under_way)::integer,
           max(x.longest)
      FROM (SELECT e.dimension, e.name, 0::double precision AS lost, e.begun, e.under_way, e.longest FROM e
            UNION ALL
            SELECT l.dimension, l.name, l.lost, 0, 0, NULL FROM l) x
     GROUP BY x.dimension, x.name;
  END IF;

  IF p_dimensions && ARRAY['relation', 'row', 'all', 'claim'] THEN
    RETURN QUERY
    WITH r AS MATERIALIZED (
      SELECT s.lock_activity_hk, s.load_date, s.load_end_date, s.wait_start, s.wait_start_is_bound, s.schema_name::text, s.table_name::text, s.row_page, s.row_tuple,
             s.tenant_claim, s.beside, lock_engine.wait_until(s.load_end_date, s.last_seen_at, s.log_end_at) AS ended
        FROM lock_monitoring.lock_activity_s s
       WHERE NOT s.lock_granted AND s.load_date >= p_from AND s.load_date < p_to + c_seen_within AND (s.load_date < p_to OR s.wait_start < p_to)
      UNION ALL
      SELECT s.lock_activity_hk, s.load_date, s.load_end_date, s.wait_start, s.wait_start_is_bound, s.schema_name, s.table_name, s.row_page, s.row_tuple,
             s.tenant_claim, s.beside, lock_engine.wait_until(s.load_end_date, s.last_seen_at, s.log_end_at) AS ended
        FROM lock_monitoring.lock_activity_s s
       WHERE NOT s.lock_granted AND s.load_date > p_from - c_day AND s.load_date < p_from AND s.load_end_date > p_from
      UNION ALL
      SELECT s.lock_activity_hk, s.load_date, s.load_end_date, s.wait_start, s.wait_start_is_bound, s.schema_name, s.table_name, s.row_page, s.row_tuple,
             s.tenant_claim, s.beside, lock_engine.wait_until(s.load_end_date, s.last_seen_at, s.log_end_at) AS ended
        FROM lock_monitoring.lock_activity_s s WHERE NOT s.lock_granted AND s.load_date < p_from AND s.load_end_date IS NULL
      UNION ALL
      SELECT s.lock_activity_hk, s.load_date, s.load_end_date, s.wait_start, s.wait_start_is_bound, s.schema_name, s.table_name, s.row_page, s.row_tuple,
             s.tenant_claim, s.beside, lock_engine.wait_until(s.load_end_date, s.last_seen_at, s.log_end_at) AS ended
        FROM lock_monitoring.lock_activity_s s
       WHERE NOT s.lock_granted AND s.load_date <= p_from - c_day AND s.load_end_date - s.load_date > interval '1 day'
         AND s.load_end_date > p_from),
    t AS (
      SELECT r.*, r.load_date >= p_from AND r.load_date < p_to AS begins, p.lock_activity_hk IS NULL AS first,
             ROW(p.schema_name::text, p.table_name::text) AS was_relation, ROW(p.row_page, p.row_tuple) AS was_row,
             CASE WHEN v_gaps
                  THEN lock_engine.watched_seconds(greatest(b.began, p_from), least(coalesce(r.ended, v_last), p_to),
                                                   v_starts, v_ends, v_before)
                  ELSE date_part('epoch', greatest(least(coalesce(r.ended, v_last), p_to) - greatest(b.began, p_from),
                                                   interval '0')) END AS lost,
             date_part('epoch', least(coalesce(r.ended, v_last), p_to) - coalesce(r.waits_since, r.load_date)) AS lasted
        FROM (SELECT x.*, CASE WHEN x.wait_start_is_bound THEN lock_engine.wait_began(x.lock_activity_hk, x.wait_start) ELSE x.wait_start END
                       AS waits_since FROM r x) r
        LEFT JOIN LATERAL (
          SELECT s.* FROM lock_monitoring.lock_activity_s s
           WHERE r.load_date >= p_from AND s.lock_activity_hk = r.lock_activity_hk AND s.load_date < r.load_date
             AND s.load_end_date = r.load_date AND NOT s.lock_granted AND s.not_seen_at IS NULL LIMIT 1) p ON true
        -- its first row counts since the wait began, which is some moments before it was seen
        CROSS JOIN LATERAL (
          SELECT CASE WHEN r.load_date >= p_from AND p.lock_activity_hk IS NULL THEN least(r.waits_since, r.load_date) ELSE r.load_date END
                   AS began) b)
    SELECT d.dimension, d.name, d.table_name, d.page, d.tuple, sum(t.lost),
           (count(*) FILTER (WHERE t.begins AND (t.first OR d.other)))::integer,
           (count(*) FILTER (WHERE t.load_date < p_from))::integer, max(t.lasted)
      FROM t CROSS JOIN LATERAL (VALUES
        ('all', NULL::text, NULL::text, NULL::integer, NULL::integer, false, lock_engine.waits_itself(t.beside)),
        ('claim', t.tenant_claim, NULL, NULL, NULL, false, lock_engine.waits_itself(t.beside)),
        ('relation', t.schema_name, t.table_name, NULL, NULL, t.was_relation IS DISTINCT FROM ROW(t.schema_name, t.table_name),
         lock_engine.waits_for_object(t.beside)),
        ('row', t.schema_name, t.table_name, t.row_page, t.row_tuple,
         t.was_relation IS DISTINCT FROM ROW(t.schema_name, t.table_name)
           OR t.was_row IS DISTINCT FROM ROW(t.row_page, t.row_tuple),
         lock_engine.waits_for_object(t.beside))) AS d (dimension, name, table_name, page, tuple, other, counts)
     WHERE d.dimension = ANY (p_dimensions) AND d.counts AND (d.dimension <> 'row' OR d.page IS NOT NULL)
     GROUP BY d.dimension, d.name, d.table_name, d.page, d.tuple;
  END IF;

  IF 'length' = ANY (p_dimensions) THEN
    RETURN QUERY
    SELECT 'length'::text, x.bucket::text, NULL::text, NULL::integer, NULL::integer, 0::double precision, count(*)::integer, 0,
           NULL::double precision
      FROM (
        SELECT width_bucket(coalesce(w.waited_ms::double precision / 1000, date_part('epoch', w.ended - coalesce(w.wait_start, w.load_date))),
                            ARRAY[0.1, 1, 5, 30, 60, 300]::double precision[]) AS bucket
          FROM (
            SELECT s.load_date, s.wait_start, s.waited_ms, lock_engine.wait_until(s.load_end_date, s.last_seen_at, s.log_end_at) AS ended
              FROM lock_monitoring.lock_activity_s s
             WHERE NOT s.lock_granted AND s.load_date > p_from - c_day AND s.load_date < p_to
               AND s.load_end_date >= p_from AND s.load_end_date < p_to AND s.resolution_action IS NOT NULL AND s.beside IS NULL
            UNION ALL
            SELECT s.load_date, s.wait_start, s.waited_ms, lock_engine.wait_until(s.load_end_date, s.last_seen_at, s.log_end_at) AS ended
              FROM lock_monitoring.lock_activity_s s
             WHERE NOT s.lock_granted AND s.load_date <= p_from - c_day AND s.load_end_date - s.load_date > interval '1 day'
               AND s.load_end_date >= p_from AND s.load_end_date < p_to AND s.resolution_action IS NOT NULL AND s.beside IS NULL) w) x
     GROUP BY x.bucket;
  END IF;
END
$$;
COMMENT ON FUNCTION lock_engine.losses(text[], timestamptz, timestamptz) IS
  'Watched seconds lost within the period (by attributes of the roots: of the waits behind them), episodes or waits begun in it and under way at its '
  'beginning, and the longest, by dimension (see lock_engine.wait_rollup). For length: waits ended, by bucket under 0.1, 1, 5, '
  '30, 60, 300 s and above.';
