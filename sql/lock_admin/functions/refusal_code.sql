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
  SELECT CASE WHEN p_pid = pg_catalog.pg_backend_pid() THEN 'own_session' ELSE coalesce(
    lock_catalog.never_stopped(
      p_pid, p_user_name, p_is_superuser, p_backend_type, p_leader_pid, p_query,
      lock_admin.setting('monitor.own_logins') ? p_user_name,
      lock_admin.name_matches(p_user_name, ARRAY(SELECT jsonb_array_elements_text(lock_admin.setting('door.protected_users'))))),
    CASE WHEN p_automatic AND lock_admin.is_protected_application(
           lock_admin.setting('door.protected_applications'), p_application_name, p_user_name, p_database_name)
         THEN 'protected_application' END) END
$$;
COMMENT ON FUNCTION lock_admin.refusal_code(integer, text, boolean, text, integer, text, text, text, boolean) IS
  'Why the door never signals such a session, or NULL. p_automatic: no person asks, so protected applications count too.';
