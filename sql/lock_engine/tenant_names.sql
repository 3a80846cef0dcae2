-- For lists and pages: our own table, so that they go on while the site's is locked, and run nothing of the site's.
CREATE OR REPLACE FUNCTION lock_engine.tenant_names(p_keys bytea[] DEFAULT NULL, p_limit integer DEFAULT NULL)
RETURNS TABLE (tenant_hk bytea, tenant_bk text)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT n.tenant_hk, n.tenant_bk FROM lock_engine.tenant_seen n
   WHERE p_keys IS NULL OR n.tenant_hk = ANY (p_keys)
   ORDER BY n.tenant_bk, n.tenant_hk LIMIT p_limit
$$;
COMMENT ON FUNCTION lock_engine.tenant_names(bytea[], integer) IS
  'Keys and names of these tenants (NULL: of all), at most so many (NULL: all), by name, as lock_engine.ask_site() last read them.';
