-- Our own tables are asked: a tenant that was read before is known while the site's table is locked, too. One that is not
-- known may be new: then the site is asked at once.
CREATE OR REPLACE FUNCTION lock_engine.check_tenant(p_tenant_hk bytea)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_trouble text;
BEGIN
  IF p_tenant_hk IS NULL OR lock_engine.knows_tenant(p_tenant_hk) THEN
    RETURN;
  END IF;
  IF current_setting('transaction_read_only') = 'off' THEN
    PERFORM lock_engine.ask_site(true);
    IF lock_engine.knows_tenant(p_tenant_hk) THEN
      RETURN;
    END IF;
  END IF;
  SELECT p.last_error INTO v_trouble FROM lock_engine.part_state p WHERE p.part = 'tenants' AND p.failures_in_a_row > 0;
  IF FOUND THEN
    RAISE EXCEPTION 'Whether there is a tenant with tenant_hk % cannot be read now (%); try again, or give NULL for all tenants.',
      encode(p_tenant_hk, 'hex'), v_trouble USING ERRCODE = 'lock_not_available';
  END IF;
  RAISE EXCEPTION 'There is no tenant with tenant_hk %; give one of auth.tenant_h, or NULL for all tenants.', encode(p_tenant_hk, 'hex')
    USING ERRCODE = 'invalid_parameter_value';
END
$$;
COMMENT ON FUNCTION lock_engine.check_tenant(bytea) IS 'Refuses an unknown tenant with a sentence; NULL stands for all tenants.';
-- Release candidate 1 had one that read and no more, and granted it to all who read.
REVOKE ALL ON FUNCTION lock_engine.check_tenant(bytea) FROM lock_monitoring_role, lock_log_reader, lock_alert_sandbox;
