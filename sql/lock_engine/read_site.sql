-- The one function that reads tables of the site. Its owner has nothing but that right, nothing of what happens in here
-- stays (the sub-transaction is always taken back: settings, temporary tables, notifications, deferred triggers), and the caller
-- has refused tables in which code of others could run: lock_engine.site_fault(). What a policy would hide is an error.
-- A row without a name or a key is nobody: the empty key means "not known yet" everywhere else.
CREATE OR REPLACE FUNCTION lock_engine.read_site(
  p_what text, p_keys text[], p_limit integer, OUT answer jsonb, OUT failed_with text, OUT because text)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
SET lock_timeout = '5ms'
SET client_min_messages = error
AS $$
DECLARE
  v_query text := CASE p_what
    WHEN 'tenants' THEN
      'SELECT DISTINCT ON (t.tenant_bk) t.tenant_bk::text AS key, t.tenant_hk, t.tenant_bk::text AS name FROM ONLY auth.tenant_h t '
      'WHERE t.tenant_bk = ANY ($1) AND octet_length(t.tenant_hk) > 0 ORDER BY t.tenant_bk, t.tenant_hk'
    WHEN 'users' THEN
      'SELECT DISTINCT ON (u.user_bk) u.user_bk::text AS key, u.tenant_hk, t.tenant_bk::text AS name '
      'FROM ONLY auth.user_h u JOIN ONLY auth.tenant_h t ON t.tenant_hk = u.tenant_hk '
      'WHERE u.user_bk = ANY ($1) AND octet_length(t.tenant_hk) > 0 AND t.tenant_bk IS NOT NULL ORDER BY u.user_bk, u.tenant_hk'
    WHEN 'all tenants' THEN
      'SELECT NULL::text AS key, t.tenant_hk, t.tenant_bk::text AS name FROM ONLY auth.tenant_h t '
      'WHERE octet_length(t.tenant_hk) > 0 AND t.tenant_bk IS NOT NULL ORDER BY t.tenant_bk, t.tenant_hk LIMIT $2' END;
BEGIN
  IF current_user <> 'lock_site_reader' THEN PERFORM lock_engine.require_owner('lock_site_reader'); END IF;
  BEGIN
    EXECUTE 'SELECT coalesce(jsonb_agg(jsonb_build_object(''key'', x.key, ''tenant_hk'', encode(x.tenant_hk, ''hex''), ''name'', x.name)), ''[]'') '
            'FROM (' || v_query || ') x' INTO answer USING p_keys, p_limit;
    RAISE EXCEPTION USING ERRCODE = 'LV001', MESSAGE = 'taken back';
  EXCEPTION
    WHEN SQLSTATE 'LV001' THEN NULL;
    WHEN OTHERS THEN
      answer := NULL;
      failed_with := SQLSTATE;
      because := SQLERRM;
  END;
END
$$;
COMMENT ON FUNCTION lock_engine.read_site(text, text[], integer) IS
  'Reads the tenants of these business keys (tenants), of these users (users), or the first tenants by name (all tenants): '
  '[{key, tenant_hk, name}], the lowest key of those with the same name; or SQLSTATE and message of what went wrong. Waits 5 ms at most.';
ALTER FUNCTION lock_engine.read_site(text, text[], integer) OWNER TO lock_site_reader;
REVOKE ALL ON FUNCTION lock_engine.read_site(text, text[], integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.read_site(text, text[], integer) TO lock_vault_owner;
