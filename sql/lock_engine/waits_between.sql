-- Every wait that the vault knows of in a period, once: a wait is one request for one lock by one session. Its seconds are
-- from its beginning until lock_engine.wait_until: exact where the log has it, else the least that it waited (wait_end_at_most bounds it),
-- its seconds in the period only those in which somebody watched. Of a session whose parallel
-- workers wait, too, all waits are here, so sums ask which count (lock_engine.waits_itself): own_seconds add up to sessions'
-- time, object_seconds to that of what they waited for; is_own and for_object say the same of counts.
CREATE OR REPLACE FUNCTION lock_engine.waits_between(p_tenant_hk bytea, p_start timestamptz, p_end timestamptz)
RETURNS TABLE (lock_activity_hk bytea, wait_start timestamptz, wait_end timestamptz, goes_on boolean, how_ended text,
               wait_start_is_bound boolean, wait_seconds numeric, seconds_in_period numeric, lock_type text, lock_mode text,
               object_key text, relation_name text, user_name text, application_name text, query_fingerprint text,
               root_nodes bigint[], session integer, is_own boolean, for_object boolean, own_seconds numeric, object_seconds numeric,
               wait_end_at_most timestamptz, is_exact boolean)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  WITH gaps AS MATERIALIZED (SELECT g.* FROM lock_engine.gap_steps(p_start, p_end) g),
  until AS MATERIALIZED (SELECT lock_engine.seen_until(p_end) AS seen)
  SELECT w.lock_activity_hk, w.wait_start, w.wait_end, w.goes_on, w.how, w.is_bound,
         coalesce(w.waited_ms / 1000, extract(epoch FROM w.wait_end - w.wait_start)::numeric),
         i.seconds,
         w.lock_type, w.lock_mode, w.object_key, w.relation_name, w.user_name, w.application_name, w.query_fingerprint,
         v.root_nodes, coalesce(v.lock_group, v.lock_pid), coalesce(w.own_from = w.first_version, false), coalesce(w.object_from = w.first_version, false),
         CASE WHEN w.versions = w.own_versions THEN i.seconds ELSE coalesce(
           lock_engine.watched_seconds(greatest(CASE WHEN w.own_from = w.first_version THEN w.wait_start ELSE w.own_from END, p_start),
                                       least(w.own_until, p_end), g.starts, g.ends, g.seconds)::numeric, 0) END,
         CASE WHEN w.versions = w.object_versions THEN i.seconds ELSE coalesce(
           lock_engine.watched_seconds(greatest(CASE WHEN w.object_from = w.first_version THEN w.wait_start ELSE w.object_from END, p_start),
                                       least(w.object_until, p_end), g.starts, g.ends, g.seconds)::numeric, 0) END,
         w.wait_end_at_most, w.log_end_at IS NOT NULL
    FROM (
      SELECT x.*, CASE WHEN x.known_since IS NULL THEN x.wait_began ELSE x.known_since END AS wait_start,
             coalesce(x.log_end_at, x.not_seen_at, x.wait_end) AS wait_end_at_most
      FROM (
      SELECT s.lock_activity_hk, s.wait_start AS wait_began,
             -- before PostgreSQL 14 only the log tells when it began
             max(s.log_end_at - make_interval(secs => s.waited_ms::double precision / 1000)) FILTER (WHERE s.wait_start_is_bound)
               AS known_since,
             max(coalesce(lock_engine.wait_until(s.load_end_date, s.last_seen_at, s.log_end_at), (SELECT u.seen FROM until u))) AS wait_end,
             max(s.log_end_at) AS log_end_at, max(s.not_seen_at) AS not_seen_at, max(s.waited_ms) AS waited_ms,
             bool_or(s.load_end_date IS NULL) AS goes_on,
             (array_agg(s.resolution_action ORDER BY s.load_date DESC))[1] AS how,
             bool_or(s.wait_start_is_bound) AND max(s.waited_ms) IS NULL AS is_bound,
             min(s.lock_type) AS lock_type, min(s.lock_mode) AS lock_mode, min(s.object_key) AS object_key,
             (array_agg(s.relation_name ORDER BY s.load_date DESC) FILTER (WHERE s.schema_name IS NOT NULL))[1] AS relation_name,
             min(s.user_name) AS user_name, min(s.application_name) AS application_name,
             min(s.query_fingerprint) AS query_fingerprint,
             max(s.load_date) AS last_version, min(s.load_date) AS first_version, count(*) AS versions,
             count(*) FILTER (WHERE lock_engine.waits_itself(s.beside)) AS own_versions,
             min(s.load_date) FILTER (WHERE lock_engine.waits_itself(s.beside)) AS own_from,
             max(coalesce(lock_engine.wait_until(s.load_end_date, s.last_seen_at, s.log_end_at), (SELECT u.seen FROM until u)))
               FILTER (WHERE lock_engine.waits_itself(s.beside)) AS own_until,
             count(*) FILTER (WHERE lock_engine.waits_for_object(s.beside)) AS object_versions,
             min(s.load_date) FILTER (WHERE lock_engine.waits_for_object(s.beside)) AS object_from,
             max(coalesce(lock_engine.wait_until(s.load_end_date, s.last_seen_at, s.log_end_at), (SELECT u.seen FROM until u)))
               FILTER (WHERE lock_engine.waits_for_object(s.beside)) AS object_until
        FROM lock_monitoring.lock_activity_s s
        JOIN lock_monitoring.lock_activity_h h ON h.lock_activity_hk = s.lock_activity_hk
       WHERE NOT s.lock_granted AND s.wait_start IS NOT NULL
         -- while somebody watches a wait is seen so soon after it began, as in lock_engine.losses
         AND s.load_date < p_end + interval '10 seconds' AND (s.load_date < p_end OR s.wait_start < p_end)
         AND (s.load_end_date IS NULL OR s.load_end_date > p_start)
         AND (p_tenant_hk IS NULL OR h.tenant_hk = p_tenant_hk)
         -- seen first in the moment in which waitstart was not set yet, then with it: that is one wait
         AND NOT (s.wait_start_is_bound AND EXISTS (
           SELECT 1 FROM lock_monitoring.lock_activity_s n
            WHERE n.lock_activity_hk = s.lock_activity_hk AND n.load_date = s.load_end_date
              AND NOT n.lock_granted AND NOT n.wait_start_is_bound))
       GROUP BY s.lock_activity_hk, s.wait_start) x) w
    JOIN lock_monitoring.lock_activity_s v ON v.lock_activity_hk = w.lock_activity_hk AND v.load_date = w.last_version
    CROSS JOIN gaps g
    CROSS JOIN LATERAL (
      SELECT CASE WHEN g.starts = '{}'
                  THEN greatest(extract(epoch FROM least(w.wait_end, p_end) - greatest(w.wait_start, p_start)), 0)
                  ELSE lock_engine.watched_seconds(greatest(w.wait_start, p_start), least(w.wait_end, p_end), g.starts, g.ends, g.seconds)
                  END::numeric AS seconds OFFSET 0) i
   WHERE w.wait_end >= w.wait_start AND (w.goes_on OR w.wait_end > p_start)
$$;
COMMENT ON FUNCTION lock_engine.waits_between(bytea, timestamptz, timestamptz) IS
  'Waits stored in the vault that overlap the period, one row each, seconds as numeric; a wait that goes on '
  'counts until now, or until the last look. seconds_in_period: the watched ones; own_seconds and object_seconds: those of them '
  'that add up to the time of sessions, and of what they waited for. is_exact: the log proves its end; else it ended between wait_end '
  'and wait_end_at_most.';
