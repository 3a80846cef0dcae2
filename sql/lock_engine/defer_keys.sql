-- From here to lock_engine.place_rows the tenants' rows are not asked for: what is written now is checked there, last of
-- all, so that the application's SELECT .. FOR UPDATE of a tenant waits for that and the commit only, not for a cycle.
-- While rows are kept aside the hubs' keys wait, too, as a row may belong to a hub that is aside.
CREATE OR REPLACE FUNCTION lock_engine.defer_keys(p_since timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_tenants text := lock_engine.key_names(true);
  v_hubs text;
BEGIN
  IF v_tenants IS NOT NULL THEN
    EXECUTE format('SET CONSTRAINTS %s DEFERRED', v_tenants);
  END IF;
  IF EXISTS (SELECT FROM lock_engine.aside_tenant) THEN
    v_hubs := lock_engine.key_names(false);
    IF v_hubs IS NOT NULL THEN
      EXECUTE format('SET CONSTRAINTS %s DEFERRED', v_hubs);
      PERFORM set_config('lock_vault.hubs_deferred', 'on', true);
    END IF;
  END IF;
  IF lock_engine.unplaced_since() IS NULL THEN
    PERFORM set_config('lock_vault.unplaced_since', format('%s %s', (date_part('epoch', now()) * 1000000)::bigint,
                                                           (extract(epoch FROM p_since) * 1000000)::bigint), true);
  END IF;
END
$$;
COMMENT ON FUNCTION lock_engine.defer_keys(timestamptz) IS
  'Has the vault''s foreign keys checked by lock_engine.place_rows, which must follow within the transaction. p_since: no row '
  'written until then has an earlier load_date.';
