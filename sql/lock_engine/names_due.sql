CREATE OR REPLACE FUNCTION lock_engine.names_due()
RETURNS boolean
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN NOT EXISTS (SELECT FROM lock_engine.tenant_claim c
                      WHERE c.claim = 'all' AND c.looked_up_at > clock_timestamp() - interval '10 minutes');
END
$$;
COMMENT ON FUNCTION lock_engine.names_due() IS 'Whether it is time to read the names of all tenants anew: after 10 minutes.';
