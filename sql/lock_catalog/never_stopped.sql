-- What kind of session nobody signals, whoever asks: the rule, without a table. p_is_own: a login of the monitor; p_is_protected:
-- its user is one of setting door.protected_users. Inlined, so that what is not reached is not asked.
CREATE OR REPLACE FUNCTION lock_catalog.never_stopped(
  p_pid integer, p_user_name text, p_is_superuser boolean, p_backend_type text, p_leader_pid integer, p_query text,
  p_is_own boolean, p_is_protected boolean)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
  SELECT CASE
    WHEN p_backend_type OPERATOR(pg_catalog.=) 'autovacuum worker'
     AND p_query OPERATOR(pg_catalog.~~) '%(to prevent wraparound)%' THEN 'wraparound_autovacuum'
    WHEN p_backend_type OPERATOR(pg_catalog.~~) 'walsender%' OR p_backend_type OPERATOR(pg_catalog.~~) 'logical replication%'
      THEN 'replication'
    WHEN p_backend_type OPERATOR(pg_catalog.=) 'parallel worker' OR p_leader_pid OPERATOR(pg_catalog.<>) p_pid THEN 'parallel_worker'
    WHEN p_backend_type IS NULL OR p_backend_type OPERATOR(pg_catalog.<>) 'client backend' THEN 'not_client_backend'
    WHEN p_user_name IS NULL OR p_is_superuser IS NULL THEN 'unknown_user'
    WHEN p_is_superuser THEN 'superuser'
    WHEN p_is_own THEN 'own_monitor'
    WHEN p_is_protected THEN 'protected_role'
  END
$$;
COMMENT ON FUNCTION lock_catalog.never_stopped(integer, text, boolean, text, integer, text, boolean, boolean) IS
  'Why a session is never stopped, whoever asks: a code of lock_admin.refusal_message(), or NULL.';
