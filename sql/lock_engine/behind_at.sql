-- Who stands behind each blocker at a stored moment, and what they had waited by then: as the live graph says it of now
-- (lock_catalog.graph_of), out of the waits of that moment. A session that waits for several things stands behind a blocker once, with its
-- longest wait. NULL: now, of the open rows alone, which is cheaper. What has not been seen waiting up to that moment counts until it was (lock_engine.wait_until).
CREATE OR REPLACE FUNCTION lock_engine.behind_at(p_at timestamptz DEFAULT NULL)
RETURNS TABLE (node bigint, waiting integer, since timestamptz, seconds double precision, severity text, severity_score double precision)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
  WITH RECURSIVE moment AS MATERIALIZED (SELECT coalesce(p_at, clock_timestamp()) AS at),
  piece AS MATERIALIZED (
    SELECT p.session::bigint AS session, p.wait_start, CASE WHEN p.goes_on THEN m.at ELSE least(p.until, m.at) END AS until, p.blockers
      FROM moment m
      CROSS JOIN LATERAL lock_engine.wait_pieces(coalesce(p_at, 'infinity'), coalesce(p_at + interval '1 microsecond', 'infinity')) p
     WHERE CASE WHEN p_at IS NULL THEN p.goes_on ELSE p.valid_from <= p_at AND p.valid_until > p_at END),
  -- sessions with the same blockers are one class
  class AS MATERIALIZED (
    SELECT row_number() OVER () AS class, x.blockers FROM (SELECT DISTINCT p.blockers FROM piece p) x),
  member AS MATERIALIZED (
    SELECT c.class, p.session, min(p.wait_start) AS wait_start, max(p.until) AS until
      FROM piece p JOIN class c ON c.blockers = p.blockers GROUP BY c.class, p.session),
  edge AS MATERIALIZED (
    SELECT DISTINCT c.class, u.node FROM class c CROSS JOIN LATERAL unnest(c.blockers) u (node)),
  reach (class, node) AS (
    SELECT e.class, e.node FROM edge e
    UNION
    SELECT r.class, e.node FROM reach r JOIN member m ON m.session = r.node JOIN edge e ON e.class = m.class),
  behind AS (
    SELECT r.node, m.session, min(m.wait_start) AS wait_start, max(m.until) AS until
      FROM reach r JOIN member m ON m.class = r.class GROUP BY r.node, m.session)
  SELECT f.node, f.waiting, f.since, f.seconds, f.severity,
         lock_engine.severity_score(f.severity, f.waiting, f.longest, f.seconds::numeric)::double precision
    FROM (
      SELECT x.*, lock_engine.blocker_severity(x.waiting, x.longest, x.in_ring OR NOT EXISTS (SELECT FROM member m WHERE m.session = x.node)) AS severity
        FROM (
          -- a member of a ring waits behind itself
          SELECT b.node, bool_or(b.session = b.node) AS in_ring, count(*)::integer AS waiting, min(b.wait_start) AS since,
                 sum(date_part('epoch', greatest(b.until - b.wait_start, interval '0'))) AS seconds,
                 extract(epoch FROM (SELECT m.at FROM moment m) - min(b.wait_start))::numeric AS longest
            FROM behind b GROUP BY b.node) x
      OFFSET 0) f
$$;
COMMENT ON FUNCTION lock_engine.behind_at(timestamptz) IS
  'Each blocker of a stored moment (a pid, or minus the xid of a prepared transaction): sessions that waited behind it, directly or not, '
  'since when the first of them, the seconds that they had waited by then, added up, its severity and its score.';
GRANT EXECUTE ON FUNCTION lock_engine.behind_at(timestamptz) TO lock_monitoring_role;
