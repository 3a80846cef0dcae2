-- People: those of the application, as many as it says (at least one where it has a login that may), and every other login
-- that may take lock_admin_role, with whoever asks.
CREATE OR REPLACE FUNCTION lock_admin.people_who_may_arm(p_login text, p_web_people integer)
RETURNS integer
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  WITH may AS (
    SELECT r.rolname, a.login IS NOT NULL AS is_application
      FROM pg_catalog.pg_roles AS r LEFT JOIN lock_admin.application_login AS a ON a.login = r.rolname
     WHERE r.rolname = p_login
        OR (r.rolcanlogin AND NOT r.rolsuper AND pg_catalog.pg_has_role(r.oid, 'lock_admin_role', 'MEMBER')))
  SELECT ((SELECT count(*) FROM may WHERE NOT may.is_application)
          + CASE WHEN EXISTS (SELECT FROM lock_admin.application_login AS a WHERE a.login = p_login) THEN greatest(p_web_people, 1)
                 WHEN EXISTS (SELECT FROM may WHERE may.is_application) THEN 1 ELSE 0 END)::integer
$$;
COMMENT ON FUNCTION lock_admin.people_who_may_arm(text, integer) IS
  'How many people may arm a policy, database roles and web logins together. p_web_people: what the application says of its own.';
