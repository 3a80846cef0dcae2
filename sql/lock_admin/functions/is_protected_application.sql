-- An application name is a claim of the client: it protects only together with a user, who had to log in.
CREATE OR REPLACE FUNCTION lock_admin.is_protected_application(
  p_list jsonb, p_application text, p_user text, p_database text)
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT EXISTS (
    SELECT 1 FROM jsonb_array_elements(p_list) AS e(entry)
     WHERE lock_admin.name_matches(p_application, ARRAY[e.entry ->> 'application'])
       AND CASE WHEN e.entry ->> 'user' = '@privileged'
             THEN EXISTS (
               SELECT 1 FROM pg_catalog.pg_roles AS r
                WHERE lock_catalog.readable(r.rolname::text) = p_user
                  AND (r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls
                       OR EXISTS (SELECT 1 FROM pg_catalog.pg_database AS d WHERE d.datdba = r.oid AND lock_catalog.readable(d.datname::text) = p_database)
                       OR EXISTS (SELECT 1 FROM pg_catalog.pg_roles AS g
                                   WHERE g.rolname IN ('pg_monitor', 'pg_read_all_data', 'pg_signal_backend')
                                     AND pg_catalog.pg_has_role(r.oid, g.oid, 'MEMBER'))))
             ELSE lock_admin.name_matches(p_user, ARRAY[e.entry ->> 'user']) END)
$$;
COMMENT ON FUNCTION lock_admin.is_protected_application(jsonb, text, text, text) IS
  'Is this application, run by this user, in a list like setting door.protected_applications?';
