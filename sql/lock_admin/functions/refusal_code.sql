-- What kind of session the door never signals, whoever asks. NULL: none of these reasons. Called within the statement
-- that signals, on the very row that it signals.
CREATE OR REPLACE FUNCTION lock_admin.refusal_code(
  p_pid integer, p_user_name text, p_is_superuser boolean, p_backend_type text, p_leader_pid integer, p_query text,
  p_application_name text, p_database_name text, p_automatic boolean)
RETURNS text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT CASE
    WHEN p_pid = pg_catalog.pg_backend_pid() THEN 'own_session'
    WHEN p_backend_type = 'autovacuum worker' AND p_query LIKE '%(to prevent wraparound)%' THEN 'wraparound_autovacuum'
    WHEN p_backend_type LIKE 'walsender%' OR p_backend_type LIKE 'logical replication%' THEN 'replication'
    WHEN p_backend_type = 'parallel worker' OR p_leader_pid <> p_pid THEN 'parallel_worker'
    WHEN p_backend_type IS DISTINCT FROM 'client backend' THEN 'not_client_backend'
    WHEN p_user_name IS NULL OR p_is_superuser IS NULL THEN 'unknown_user'
    WHEN p_is_superuser THEN 'superuser'
    WHEN lock_admin.setting('monitor.own_logins') ? p_user_name THEN 'own_monitor'
    WHEN lock_admin.name_matches(p_user_name, ARRAY(SELECT jsonb_array_elements_text(lock_admin.setting('door.protected_users'))))
      THEN 'protected_role'
    WHEN p_automatic AND lock_admin.is_protected_application(
           lock_admin.setting('door.protected_applications'), p_application_name, p_user_name, p_database_name)
      THEN 'protected_application'
  END
$$;
COMMENT ON FUNCTION lock_admin.refusal_code(integer, text, boolean, text, integer, text, text, text, boolean) IS
  'Why the door never signals such a session, or NULL. p_automatic: no person asks, so protected applications count too.';
