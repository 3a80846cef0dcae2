-- See lock_engine.waits_itself(). Inlined.
CREATE OR REPLACE FUNCTION lock_engine.waits_for_object(p_beside text)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
  SELECT p_beside IS NULL OR p_beside OPERATOR(pg_catalog.<>) 'member'
$$;
COMMENT ON FUNCTION lock_engine.waits_for_object(text) IS
  'Whether a row of lock_activity_s counts among the waits for its relation, or its type of lock: given its column beside.';
GRANT EXECUTE ON FUNCTION lock_engine.waits_for_object(text) TO lock_monitoring_role;
