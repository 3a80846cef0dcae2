CREATE OR REPLACE FUNCTION lock_engine.note_answers(p_what text, p_claims text[], p_found jsonb, p_limit integer)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  INSERT INTO lock_engine.tenant_seen AS n (tenant_hk, tenant_bk, seen_at)
  SELECT DISTINCT ON (f.tenant_hk) decode(f.tenant_hk, 'hex'), f.name, clock_timestamp()
    FROM jsonb_to_recordset(p_found) AS f (tenant_hk text, name text) ORDER BY f.tenant_hk, f.name
  ON CONFLICT (tenant_hk) DO UPDATE SET tenant_bk = EXCLUDED.tenant_bk, seen_at = EXCLUDED.seen_at
   WHERE n.tenant_bk <> EXCLUDED.tenant_bk OR n.seen_at < EXCLUDED.seen_at - interval '1 hour';
  IF p_what = 'all tenants' THEN
    IF jsonb_array_length(p_found) < p_limit THEN
      DELETE FROM lock_engine.tenant_seen n
       WHERE encode(n.tenant_hk, 'hex') NOT IN (SELECT f.tenant_hk FROM jsonb_to_recordset(p_found) AS f (tenant_hk text));
    END IF;
    INSERT INTO lock_engine.tenant_claim AS c (claim, tenant_hk, looked_up_at) VALUES ('all', NULL, clock_timestamp())
    ON CONFLICT (claim) DO UPDATE SET looked_up_at = EXCLUDED.looked_up_at;
    RETURN;
  END IF;
  INSERT INTO lock_engine.tenant_claim AS c (claim, tenant_hk, looked_up_at)
  SELECT x.claim, decode(f.tenant_hk, 'hex'), clock_timestamp()
    FROM unnest(p_claims) AS x (claim)
    LEFT JOIN jsonb_to_recordset(p_found) AS f (key text, tenant_hk text) ON f.key = substr(x.claim, 3)
  ON CONFLICT (claim) DO UPDATE SET tenant_hk = EXCLUDED.tenant_hk, looked_up_at = EXCLUDED.looked_up_at;
  DELETE FROM lock_engine.tenant_wanted w WHERE w.claim = ANY (p_claims);
END
$$;
COMMENT ON FUNCTION lock_engine.note_answers(text, text[], jsonb, integer) IS
  'Keeps what lock_engine.read_site() found for these claims, or for all tenants; a claim that nothing was found for is nobody''s.';
