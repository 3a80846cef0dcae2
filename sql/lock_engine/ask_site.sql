-- Tenants and users are read here, apart from any cycle: by the loop on a connection of its own, which is closed afterwards;
-- without a loop by lock_engine.place_rows(), last of all. Nothing that code planted at the site's tables could do reaches what
-- follows: lock_engine.site_fault() refuses such tables, read_site() has no rights and is taken back, and what is not
-- transactional, session locks and prepared statements, is put back here and said.
CREATE OR REPLACE FUNCTION lock_engine.ask_site(p_now boolean DEFAULT false)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET client_min_messages = error
AS $$
DECLARE
  -- names for lists and filters; whose a session is, is looked up by its claim, however many tenants there are
  c_tenants constant integer := 10000;
  c_claims constant integer := 1000;
  v_what text;
  v_claims text[];
  v_tenants_fault text;
  v_fault text;
  v_read record;
  v_failed boolean := false;
  v_answered integer := 0;
  v_locks text[];
  v_prepared text[];
  v_left text[] := '{}';
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  IF NOT pg_try_advisory_xact_lock(460, 10) THEN
    RETURN 0;  -- another session is asking
  END IF;
  v_locks := lock_engine.session_locks();
  v_tenants_fault := lock_engine.site_fault('auth.tenant_h', ARRAY['tenant_hk', 'tenant_bk']);
  v_prepared := ARRAY(SELECT format('%s %s', p.name, p.prepare_time) FROM pg_prepared_statements p);
  FOREACH v_what IN ARRAY ARRAY['tenants', 'users', 'all tenants'] LOOP
    v_claims := ARRAY(SELECT w.claim FROM lock_engine.tenant_wanted w
                       WHERE w.claim LIKE left(v_what, 1) || ':%' AND v_what <> 'all tenants' AND (p_now OR w.try_at <= clock_timestamp())
                       ORDER BY w.try_at LIMIT c_claims);
    CONTINUE WHEN CASE v_what WHEN 'all tenants' THEN NOT p_now AND NOT lock_engine.names_due() ELSE cardinality(v_claims) = 0 END;
    v_fault := coalesce(v_tenants_fault,
                        CASE WHEN v_what = 'users' THEN lock_engine.site_fault('auth.user_h', ARRAY['user_bk', 'tenant_hk']) END);
    IF v_fault IS NULL THEN
      SELECT r.* INTO v_read
        FROM lock_engine.read_site(v_what, ARRAY(SELECT substr(x, 3) FROM unnest(v_claims) x), c_tenants) r;
      -- before anything else, that could fail
      v_left := v_left || lock_engine.put_back(v_locks, v_prepared);
    ELSE
      SELECT NULL::jsonb AS answer, '42501' AS failed_with, v_fault AS because INTO v_read;
    END IF;
    IF v_read.answer IS NOT NULL THEN
      BEGIN
        PERFORM lock_engine.note_answers(v_what, v_claims, v_read.answer, c_tenants);
        v_answered := v_answered + cardinality(v_claims);
        CONTINUE;
      EXCEPTION
        -- whatever is in the site's rows, it costs the names at most
        WHEN OTHERS THEN
          IF lock_engine.ends_all(SQLSTATE) THEN
            RAISE;
          END IF;
          SELECT NULL::jsonb AS answer, SQLSTATE AS failed_with, SQLERRM AS because INTO v_read;
      END;
    END IF;
    IF lock_engine.ends_all(v_read.failed_with, false) THEN
      RAISE EXCEPTION '%', v_read.because USING ERRCODE = v_read.failed_with;
    END IF;
    v_failed := true;
    PERFORM lock_engine.part_failed('tenants', coalesce(v_read.failed_with, 'XX000'), coalesce(v_read.because, 'no answer'), cardinality(v_claims),
                                    CASE v_what WHEN 'all tenants' THEN 'the names of all tenants'
                                                ELSE 'the tenants of ' || array_to_string(v_claims[1:3], ', ') END);
    UPDATE lock_engine.tenant_wanted w
       SET tries = w.tries + 1, try_at = clock_timestamp() + least(w.tries + 1, 50) * interval '200 ms'
     WHERE w.claim = ANY (v_claims);
    IF v_what = 'all tenants' THEN
      -- as last seen, and not asked again at once
      INSERT INTO lock_engine.tenant_claim AS c (claim, tenant_hk, looked_up_at) VALUES ('all', NULL, clock_timestamp() - interval '590 s')
      ON CONFLICT (claim) DO UPDATE SET looked_up_at = EXCLUDED.looked_up_at;
    END IF;
  END LOOP;
  IF cardinality(v_left) > 0 THEN
    PERFORM lock_engine.part_failed('tenants', '42501', 'code at the site''s tables left ' || array_to_string(v_left, ', ') || ' in this session: put back');
  ELSIF NOT v_failed THEN
    PERFORM lock_engine.part_ok('tenants');
  END IF;
  RETURN v_answered;
END
$$;
COMMENT ON FUNCTION lock_engine.ask_site(boolean) IS
  'Looks up in auth.tenant_h and auth.user_h whatever is wanted (lock_engine.tenant_wanted) and, every 10 minutes or with p_now, the names of '
  'all tenants; how many claims were answered. What could not be read is counted in lock_engine.part_state (tenants) and tried again.';
ALTER FUNCTION lock_engine.ask_site(boolean) OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_engine.ask_site(boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.ask_site(boolean) TO lock_monitoring_role, lock_door_owner;
