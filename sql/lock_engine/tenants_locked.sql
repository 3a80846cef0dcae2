CREATE OR REPLACE FUNCTION lock_engine.tenants_locked()
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT EXISTS (
    SELECT FROM lock_catalog.locks l
     WHERE l.lock_type = 'relation' AND l.relation_oid = (SELECT lock_engine.site_table('auth.tenant_h'))
       AND l.database_oid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
       AND l.lock_mode IN ('ExclusiveLock', 'AccessExclusiveLock') AND l.pid IS DISTINCT FROM pg_backend_pid())
$$;
COMMENT ON FUNCTION lock_engine.tenants_locked() IS
  'Whether another session holds, or queues for, a lock on all of auth.tenant_h that a foreign key has to wait for.';
