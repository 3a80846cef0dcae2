-- The only place of ours that reads the site's tenants and users for a claim. Whatever goes wrong there (a lock, a policy,
-- a trigger's view, a column with another name, no right) is an answer, "not readable", and costs this look-up alone; within
-- 200 ms it is not tried again, so that a thousand sessions do not wait one after the other. A person's cancel still ends it.
CREATE OR REPLACE FUNCTION lock_engine.read_tenant(p_claim text, OUT tenant_hk bytea, OUT tenant_bk text, OUT readable boolean)
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '5ms'
AS $$
#variable_conflict use_column
DECLARE
  v_table text := CASE WHEN p_claim LIKE 't:%' THEN 'tenants' ELSE 'users' END;
  v_failed text := coalesce(current_setting('lock_vault.unreadable_' || v_table, true), '');
  v_now bigint := (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
BEGIN
  readable := false;
  IF v_failed <> '' AND v_now - v_failed::bigint < 200 THEN
    RETURN;
  END IF;
  BEGIN
    IF v_table = 'tenants' THEN
      SELECT t.tenant_hk, t.tenant_bk INTO tenant_hk, tenant_bk FROM auth.tenant_h t
       WHERE t.tenant_bk = substr(p_claim, 3) ORDER BY t.tenant_hk LIMIT 1;
    ELSE
      SELECT u.tenant_hk, t.tenant_bk INTO tenant_hk, tenant_bk FROM auth.user_h u JOIN auth.tenant_h t ON t.tenant_hk = u.tenant_hk
       WHERE u.user_bk = substr(p_claim, 3) ORDER BY u.tenant_hk LIMIT 1;
    END IF;
    -- a policy may have hidden the row that was looked for
    readable := tenant_hk IS NOT NULL
                OR NOT (row_security_active('auth.tenant_h') OR (v_table = 'users' AND row_security_active('auth.user_h')));
    IF readable AND v_table = 'users' THEN
      PERFORM lock_engine.part_ok('tenants');
    ELSIF NOT readable AND coalesce(current_setting('lock_vault.hidden_tenants', true), '') = '' THEN
      PERFORM set_config('lock_vault.hidden_tenants', 'noted', true);
      PERFORM lock_engine.part_failed('tenants', '42501', format('row security on the site''s %s hides rows from %s', v_table, current_user),
                                      1, 'the tenant of ' || p_claim);
    END IF;
  EXCEPTION
    WHEN OTHERS THEN
      IF lock_engine.ends_all(SQLSTATE, false) THEN
        RAISE;
      END IF;
      PERFORM set_config('lock_vault.unreadable_' || v_table, v_now::text, true);
      PERFORM lock_engine.part_failed('tenants', SQLSTATE, SQLERRM, 1, 'the tenant of ' || p_claim);
  END;
END
$$;
COMMENT ON FUNCTION lock_engine.read_tenant(text) IS
  'Reads whose a claim is (t: a tenant''s business key, u: a user''s): the lowest key and its name, NULL if there is none; readable is false '
  'where the site''s tables do not say. Waits 5 ms at most.';
