-- One list out of what a look saw and what the log says: the look knows sessions, rows, held modes and times; the log knows
-- the ring as PostgreSQL's own check found it, and texts where the look has none.
CREATE OR REPLACE FUNCTION lock_engine.merged_participants(p_sampled jsonb, p_logged jsonb)
RETURNS jsonb
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT CASE WHEN p_sampled IS NULL OR jsonb_array_length(p_logged) < 2 AND jsonb_array_length(p_sampled) > 1
              THEN coalesce(p_sampled, p_logged)
         ELSE (
    SELECT jsonb_agg(l.e || coalesce(s.e, '{}'::jsonb)
                     -- the look's own reading may have been for the leader of a parallel group: the log's process counts
                     || jsonb_strip_nulls(jsonb_build_object('pid', l.e -> 'pid', 'blocked_by', l.e -> 'blocked_by',
                          'context', l.e -> 'context', 'wanted', CASE WHEN s.e ? 'tuple' THEN s.e -> 'wanted' WHEN l.e ? 'tuple' THEN l.e -> 'wanted' END))
                     ORDER BY l.n)
      FROM jsonb_array_elements(p_logged) WITH ORDINALITY l(e, n)
      LEFT JOIN LATERAL (
        SELECT x.e FROM jsonb_array_elements(p_sampled) x(e)
         WHERE x.e -> 'pids' @> (l.e -> 'pid') LIMIT 1) s ON true) END
$$;
COMMENT ON FUNCTION lock_engine.merged_participants(jsonb, jsonb) IS 'Participants of one deadlock seen both by a look and in the log.';
