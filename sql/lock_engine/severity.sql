-- How bad it is that one session holds up others; docs/severity.md has the table. Two measures, the worse one counts: how
-- many sessions wait behind it (directly or through others) and how long the longest of them has waited. One or two
-- waiters are never CRITICAL, however long they wait.
CREATE OR REPLACE FUNCTION lock_engine.severity(p_blocked integer, p_longest_seconds numeric)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE
    WHEN p_blocked IS NULL OR p_blocked <= 0 THEN NULL
    WHEN p_blocked >= 3 AND p_longest_seconds >= 300 OR p_blocked >= 20 AND p_longest_seconds >= 10 THEN 'CRITICAL'
    WHEN p_longest_seconds >= 60 OR p_blocked >= 10 AND p_longest_seconds >= 2 THEN 'HIGH'
    WHEN p_longest_seconds >= 10 OR p_blocked >= 3 AND p_longest_seconds >= 2 OR p_blocked >= 10 THEN 'MEDIUM'
    ELSE 'LOW'
  END;
END
$$;
COMMENT ON FUNCTION lock_engine.severity(integer, numeric) IS
  'CRITICAL, HIGH, MEDIUM, LOW from sessions behind a root blocker and the longest wait in seconds; NULL where nobody waits.';
