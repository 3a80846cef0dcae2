CREATE OR REPLACE FUNCTION lock_engine.retention_begins(p_retention_days integer)
RETURNS timestamptz
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF p_retention_days IS NULL OR p_retention_days < 0 OR p_retention_days > 36500 THEN
    RAISE EXCEPTION 'p_retention_days must be between 0 and 36500 days, not %; nothing was deleted.',
      coalesce(p_retention_days::text, 'NULL') USING ERRCODE = 'invalid_parameter_value';
  END IF;
  RETURN clock_timestamp() - make_interval(days => p_retention_days);
END
$$;
COMMENT ON FUNCTION lock_engine.retention_begins(integer) IS
  'The moment so many days ago (0 to 36500): what ended before is deleted by a cleanup.';
REVOKE ALL ON FUNCTION lock_engine.retention_begins(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.retention_begins(integer) TO lock_admin_role;
