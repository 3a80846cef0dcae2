-- In PL/pgSQL, whose plans are kept: as an SQL function it would be planned again for each look.
CREATE OR REPLACE FUNCTION lock_catalog.pids_of(p_logins text[])
RETURNS integer[]
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
  RETURN ARRAY(
    SELECT a.pid FROM pg_stat_get_activity(NULL) a
     WHERE a.usesysid = ANY (ARRAY(SELECT r.oid FROM pg_roles r WHERE r.rolname = ANY (p_logins))) AND a.pid <> pg_backend_pid())
    || pg_backend_pid();
END
$$;
COMMENT ON FUNCTION lock_catalog.pids_of(text[]) IS
  'This backend, and those logged in as one of these logins: the monitor''s own, if the logins are (see lock_catalog.own_pids).';
