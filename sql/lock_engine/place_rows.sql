-- The last step of whatever wrote rows between lock_engine.defer_keys and here. In the usual case every tenant can be had
-- and that is all; else lock_engine.place_around.
CREATE OR REPLACE FUNCTION lock_engine.place_rows()
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '200ms'
AS $$
DECLARE
  v_since timestamptz := lock_engine.unplaced_since();
  v_left bigint := 0;
  v_aside boolean;
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  PERFORM lock_engine.ask_site_here();
  BEGIN
    v_aside := EXISTS (SELECT FROM lock_engine.aside_tenant);
  EXCEPTION
    WHEN lock_not_available THEN
      -- an upgrade has it: nothing was written that needs a place, or all of it is given up
      IF v_since IS NULL THEN
        RETURN 0;
      END IF;
      RAISE;
  END;
  IF v_aside THEN
    v_left := NULL;
  ELSIF v_since IS NULL THEN
    RETURN 0;
  ELSE
    BEGIN
      PERFORM lock_engine.check_keys();
    EXCEPTION
      WHEN OTHERS THEN
        IF lock_engine.ends_all(SQLSTATE, false) THEN
          RAISE;
        END IF;
        v_left := NULL;
    END;
  END IF;
  IF v_left IS NULL THEN
    v_left := lock_engine.place_around(v_since);
  END IF;
  PERFORM set_config('lock_vault.unplaced_since', '', true);
  RETURN v_left;
END
$$;
COMMENT ON FUNCTION lock_engine.place_rows() IS
  'Checks the tenants of what this transaction wrote, keeps aside what has no place yet, and moves what has found one. Above 0: '
  'another call has more to move; 0 if that is all. Waits 50 ms at most for other sessions'' locks.';
ALTER FUNCTION lock_engine.place_rows() OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_engine.place_rows() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.place_rows() TO lock_monitoring_role;
