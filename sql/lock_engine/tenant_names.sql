-- For lists and pages, which go on while auth.tenant_h is locked or cannot be read: then with the names of last time.
CREATE OR REPLACE FUNCTION lock_engine.tenant_names(p_keys bytea[] DEFAULT NULL, p_limit integer DEFAULT NULL)
RETURNS TABLE (tenant_hk bytea, tenant_bk text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '20ms'
AS $$
#variable_conflict use_column
DECLARE
  v_keys bytea[];
  v_names text[];
BEGIN
  BEGIN
    SELECT array_agg(x.tenant_hk ORDER BY x.place), array_agg(x.tenant_bk ORDER BY x.place) INTO v_keys, v_names
      FROM (SELECT t.tenant_hk, t.tenant_bk::text, row_number() OVER (ORDER BY t.tenant_bk, t.tenant_hk) AS place
              FROM auth.tenant_h t WHERE p_keys IS NULL OR t.tenant_hk = ANY (p_keys)
             ORDER BY 3 LIMIT p_limit) x;
    RETURN QUERY SELECT k.hk, k.bk FROM unnest(v_keys, v_names) AS k (hk, bk);
    RETURN;
  EXCEPTION
    WHEN OTHERS THEN
      IF lock_engine.ends_all(SQLSTATE, false) THEN
        RAISE;
      END IF;
      v_keys := NULL;  -- whatever it was: the names of last time
  END;
  RETURN QUERY
  SELECT n.tenant_hk, n.tenant_bk FROM lock_engine.tenant_seen n
   WHERE p_keys IS NULL OR n.tenant_hk = ANY (p_keys)
   ORDER BY n.tenant_bk, n.tenant_hk LIMIT p_limit;
END
$$;
COMMENT ON FUNCTION lock_engine.tenant_names(bytea[], integer) IS
  'Keys and names of these tenants (NULL: of all), at most so many (NULL: all), by name; as last seen where auth.tenant_h cannot be read '
  'within 20 ms.';
