-- The waits that stood behind blocking episodes, directly or behind others that did, each from when to when and for how long. So an episode's
-- lost time is what these add up to; p_from and p_to cut it. What a session waits for at once counts once: seconds are those in which it did not count already.
CREATE OR REPLACE FUNCTION lock_engine.behind_episodes(p_episodes bytea[], p_from timestamptz DEFAULT '-infinity', p_to timestamptz DEFAULT 'infinity')
RETURNS TABLE (blocking_session_hk bytea, lock_activity_hk bytea, session integer, wait_start timestamptz, since timestamptz, until timestamptz,
               goes_on boolean, seconds double precision, watched double precision)
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
  v_from timestamptz;
  v_to timestamptz;
  v_nodes bigint[];
BEGIN
  SELECT min(s.load_date), max(coalesce(s.load_end_date, clock_timestamp())) INTO v_from, v_to
    FROM lock_monitoring.blocking_session_s s WHERE s.blocking_session_hk = ANY (p_episodes);
  IF v_from IS NULL THEN
    RETURN;
  END IF;
  -- behind a blocker that waits itself stands who has its roots
  v_nodes := ARRAY(
    SELECT DISTINCT u.node FROM lock_monitoring.blocking_session_s s
     CROSS JOIN LATERAL unnest(coalesce(s.root_nodes, '{}') || coalesce(s.node, s.session_pid::bigint)) u (node)
     WHERE s.blocking_session_hk = ANY (p_episodes) AND u.node IS NOT NULL);
  RETURN QUERY
  WITH RECURSIVE piece AS MATERIALIZED (SELECT row_number() OVER () AS place, p.* FROM lock_engine.wait_pieces(v_from, v_to, v_nodes) p),
  gaps AS MATERIALIZED (
    SELECT g.* FROM lock_engine.gap_steps(least(v_from, (SELECT min(p.since) FROM piece p)), v_to) g),
  edge AS MATERIALIZED (
    SELECT DISTINCT p.place, p.session::bigint AS session, p.valid_from, p.valid_until, u.node
      FROM piece p CROSS JOIN LATERAL unnest(p.blockers) u (node)),
  blocking AS MATERIALIZED (
    SELECT e.* FROM edge e WHERE e.session IN (SELECT x.node FROM edge x)),
  behind (episode, node, starts, ends) AS (
    SELECT s.blocking_session_hk, coalesce(min(s.node), min(s.session_pid)), min(s.load_date), max(coalesce(s.load_end_date, 'infinity'))
      FROM lock_monitoring.blocking_session_s s WHERE s.blocking_session_hk = ANY (p_episodes) GROUP BY s.blocking_session_hk
    UNION
    SELECT b.episode, e.session, greatest(b.starts, e.valid_from), least(b.ends, e.valid_until)
      FROM behind b JOIN blocking e ON e.node = b.node AND e.valid_from < b.ends AND e.valid_until > b.starts),
  part AS (
    SELECT DISTINCT b.episode, p.lock_activity_hk, p.session, p.wait_start,
           greatest(CASE WHEN b.starts <= p.valid_from THEN p.since ELSE b.starts END, p_from) AS since,
           least(p.until, b.ends, p_to) AS until, p.goes_on AND b.ends = 'infinity' AS goes_on
      FROM behind b
      JOIN edge e ON e.node = b.node AND e.valid_from < b.ends AND e.valid_until > b.starts
      JOIN piece p ON p.place = e.place),
  cut AS (
    SELECT t.*, greatest(t.since, max(t.until) OVER (PARTITION BY t.episode, t.session ORDER BY t.since, t.until
                                                     ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS counts_from
      FROM part t)
  SELECT c.episode, c.lock_activity_hk, c.session, c.wait_start, min(c.since), max(greatest(c.since, c.until)), bool_or(c.goes_on),
         sum(date_part('epoch', greatest(c.until - c.counts_from, interval '0'))),
         sum(lock_engine.watched_seconds(c.counts_from, c.until, g.starts, g.ends, g.seconds))
    FROM cut c CROSS JOIN gaps g
   GROUP BY c.episode, c.lock_activity_hk, c.session, c.wait_start;
END
$$;
COMMENT ON FUNCTION lock_engine.behind_episodes(bytea[], timestamptz, timestamptz) IS
  'The stored waits behind blocking episodes, one row each: since and until when it stood behind it, whether it does still, the seconds that '
  'this adds to the episode''s lost time, and those of them in which somebody watched.';
GRANT EXECUTE ON FUNCTION lock_engine.behind_episodes(bytea[], timestamptz, timestamptz) TO lock_monitoring_role;
