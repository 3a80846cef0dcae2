-- The order of blockers, the worst first: by severity, and within a level by how many wait, how long all of them have
-- waited so far, and how fast their number has grown. Each counts in sessions: the waiters; the minutes lost by all
-- of them together; those who came in a minute, on average since the first. docs/severity.md.
CREATE OR REPLACE FUNCTION lock_engine.severity_score(
  p_severity text, p_blocked integer, p_longest_seconds numeric, p_blocked_seconds numeric)
RETURNS numeric
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_sessions constant numeric := p_blocked + coalesce(greatest(p_blocked_seconds, 0), 0) / 60
    + CASE WHEN p_longest_seconds > 60 THEN p_blocked::numeric * 60 / p_longest_seconds ELSE p_blocked END;
BEGIN
  RETURN CASE WHEN p_blocked > 0
    -- never the next level's, whatever the crowd
    THEN lock_engine.severity_rank(p_severity) * 100 + least(99.99, round(100 * v_sessions / (v_sessions + 1000), 2)) END;
END
$$;
COMMENT ON FUNCTION lock_engine.severity_score(text, integer, numeric, numeric) IS
  'From a blocker''s severity, the sessions behind it, their longest wait and all of their waits in seconds: hundreds are the '
  'level (LOW 100 to CRITICAL 400), the rest orders within it. NULL where nobody waits.';
