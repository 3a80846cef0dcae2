-- A blocker that waits itself is never CRITICAL: all that stands behind it stands behind its root, too, which is. So an
-- incident is counted once, by the alerts as by the tiles.
CREATE OR REPLACE FUNCTION lock_engine.blocker_severity(p_blocked integer, p_longest_seconds numeric, p_is_root boolean)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_severity constant text := lock_engine.severity(p_blocked, p_longest_seconds);
BEGIN
  RETURN CASE WHEN v_severity = 'CRITICAL' AND NOT p_is_root THEN 'HIGH' ELSE v_severity END;
END
$$;
COMMENT ON FUNCTION lock_engine.blocker_severity(integer, numeric, boolean) IS
  'lock_engine.severity() of any blocker: HIGH at most where it waits itself.';
