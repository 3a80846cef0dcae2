CREATE OR REPLACE FUNCTION lock_engine.severity_rank(p_severity text)
RETURNS integer
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN CASE p_severity WHEN 'CRITICAL' THEN 4 WHEN 'HIGH' THEN 3 WHEN 'MEDIUM' THEN 2 WHEN 'LOW' THEN 1 ELSE 0 END;
END
$$;
COMMENT ON FUNCTION lock_engine.severity_rank(text) IS
  'Order of severities: CRITICAL 4, HIGH 3, MEDIUM 2, LOW 1, anything else 0. Severities are never sorted as text.';
