-- Durations are stored again when they reach the next step, not with every cycle: an hour costs a dozen rows.
CREATE OR REPLACE FUNCTION lock_engine.duration_steps()
RETURNS double precision[]
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN ARRAY[0, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 18000, 36000, 86400, 172800, 432000, 864000,
               2592000, 31536000, 3153600000]::double precision[];
END
$$;
COMMENT ON FUNCTION lock_engine.duration_steps() IS 'The steps in seconds at which an unchanged open row is written again.';
