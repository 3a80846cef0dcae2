-- The waits of a period by the root blockers that they stood behind: one row for each stretch of a wait behind one blocking episode in which
-- its names stayed the same. Sums by root add these up. A wait behind several roots is behind each of them; so is its time, and
-- whoever adds up more than one root counts what overlaps once (since and until of one session). Where is_alone, nothing overlaps: its session
-- waits for one thing at a time, behind one root.
-- The moments before the first look at a wait count for the roots that this look found.
CREATE OR REPLACE FUNCTION lock_engine.behind_roots(p_from timestamptz, p_to timestamptz)
RETURNS TABLE (root bigint, blocking_session_hk bytea, application_name text, user_name text, query_fingerprint text, database_name text,
               lock_activity_hk bytea, session integer, wait_start timestamptz, beside text, since timestamptz, until timestamptz,
               is_alone boolean)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET plan_cache_mode = force_custom_plan
SET enable_nestloop = off
SET enable_mergejoin = off
SET work_mem = '64MB'
AS $$
#variable_conflict use_column
DECLARE
  c_day constant interval := interval '1 day';
BEGIN
  RETURN QUERY
  WITH v AS MATERIALIZED (
    SELECT s.blocking_session_hk, s.node, s.session_pid, s.load_date, s.load_end_date, s.application_name, s.user_name, s.query_fingerprint,
           s.database_name
      FROM lock_monitoring.blocking_session_s s WHERE s.load_date >= p_from AND s.load_date < p_to + interval '10 seconds'
    UNION ALL
    SELECT s.blocking_session_hk, s.node, s.session_pid, s.load_date, s.load_end_date, s.application_name, s.user_name, s.query_fingerprint,
           s.database_name
      FROM lock_monitoring.blocking_session_s s WHERE s.load_date > p_from - c_day AND s.load_date < p_from AND s.load_end_date > p_from
    UNION ALL
    SELECT s.blocking_session_hk, s.node, s.session_pid, s.load_date, s.load_end_date, s.application_name, s.user_name, s.query_fingerprint,
           s.database_name
      FROM lock_monitoring.blocking_session_s s WHERE s.load_date < p_from AND s.load_end_date IS NULL
    UNION ALL
    SELECT s.blocking_session_hk, s.node, s.session_pid, s.load_date, s.load_end_date, s.application_name, s.user_name, s.query_fingerprint,
           s.database_name
      FROM lock_monitoring.blocking_session_s s
     WHERE s.load_date <= p_from - c_day AND s.load_end_date - s.load_date > interval '1 day' AND s.load_end_date > p_from),
  -- versions with the same names are one: a busy blocker has one for each change of its queue
  named AS (
    SELECT v.*, v.application_name IS NOT DISTINCT FROM lag(v.application_name) OVER k
                AND v.user_name IS NOT DISTINCT FROM lag(v.user_name) OVER k
                AND v.query_fingerprint IS NOT DISTINCT FROM lag(v.query_fingerprint) OVER k
                AND v.database_name IS NOT DISTINCT FROM lag(v.database_name) OVER k
                AND v.load_date = lag(v.load_end_date) OVER k AS same
      FROM v WINDOW k AS (PARTITION BY v.blocking_session_hk ORDER BY v.load_date)),
  counted AS (
    SELECT n.*, count(*) FILTER (WHERE n.same IS NOT TRUE) OVER (PARTITION BY n.blocking_session_hk ORDER BY n.load_date) AS place FROM named n),
  span AS MATERIALIZED (
    SELECT c.blocking_session_hk, coalesce(min(c.node), min(c.session_pid)) AS node, min(c.application_name::text) AS application_name,
           min(c.user_name::text) AS user_name, min(c.query_fingerprint) AS query_fingerprint, min(c.database_name::text) AS database_name,
           min(c.load_date) AS starts, max(coalesce(c.load_end_date, 'infinity')) AS ends
      FROM counted c GROUP BY c.blocking_session_hk, c.place),
  piece AS MATERIALIZED (
    SELECT p.*, u.root FROM lock_engine.wait_pieces(p_from, p_to) p CROSS JOIN LATERAL unnest(p.roots) u (root))
  SELECT x.root, x.blocking_session_hk, x.application_name, x.user_name, x.query_fingerprint, x.database_name, x.lock_activity_hk, x.session,
         x.wait_start, x.beside, greatest(x.since, p_from), least(x.until, p_to), x.is_alone
    FROM (
      SELECT p.root, s.blocking_session_hk, s.application_name, s.user_name, s.query_fingerprint, s.database_name, p.lock_activity_hk, p.session,
             p.wait_start, p.beside, CASE WHEN s.starts IS NULL OR s.starts <= p.valid_from THEN p.since ELSE s.starts END AS since,
             least(p.until, s.ends) AS until, NOT p.is_parallel AND cardinality(p.roots) = 1 AS is_alone
        FROM piece p
        LEFT JOIN span s ON s.node = p.root AND s.starts < p.valid_until AND s.ends > p.valid_from) x
   WHERE greatest(x.since, p_from) < least(x.until, p_to);
END
$$;
COMMENT ON FUNCTION lock_engine.behind_roots(timestamptz, timestamptz) IS
  'Stretches of the stored waits within a period, behind each of their root blockers, with the names that this had then and its episode '
  '(NULL where none is stored).';
GRANT EXECUTE ON FUNCTION lock_engine.behind_roots(timestamptz, timestamptz) TO lock_monitoring_role;
