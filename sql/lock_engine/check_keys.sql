-- The hubs' keys first, so that the tenants' rows are held for as short a time as can be.
CREATE OR REPLACE FUNCTION lock_engine.check_keys(p_tenants boolean DEFAULT true)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '5ms'
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
  v_tenants text := CASE WHEN p_tenants THEN lock_engine.key_names(true) END;
  v_hubs text;
  v_tables oid[] := CASE WHEN p_tenants THEN lock_engine.key_tables() END;
BEGIN
  IF coalesce(current_setting('lock_vault.hubs_deferred', true), '') = 'on' OR EXISTS (SELECT FROM lock_engine.aside_tenant) THEN
    v_hubs := lock_engine.key_names(false);
    IF v_hubs IS NOT NULL THEN
      EXECUTE format('SET CONSTRAINTS %s IMMEDIATE', v_hubs);
    END IF;
  END IF;
  IF v_tenants IS NOT NULL THEN
    PERFORM lock_engine.plain_tenants();
    EXECUTE format('SET CONSTRAINTS %s IMMEDIATE', v_tenants);
    -- what was made between that question and the check has been planned with: all of it is taken back. The check holds a
    -- lock beside which indexes and statistics can be made, and nothing else
    IF EXISTS (SELECT FROM pg_index i WHERE i.indrelid = ANY (v_tables) AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL))
       OR EXISTS (SELECT FROM pg_statistic_ext e WHERE e.stxrelid = ANY (v_tables)) THEN
      PERFORM lock_engine.plain_tenants();
    END IF;
  END IF;
END
$$;
COMMENT ON FUNCTION lock_engine.check_keys(boolean) IS
  'Checks the foreign keys that lock_engine.defer_keys left; whatever stands in the way for more than 5 ms is an error. '
  'p_tenants: also those to the tenants; nothing of this transaction must be left that needs one, otherwise.';
