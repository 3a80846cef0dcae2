-- The one rule for who somebody is: a web login where the application's own login passes it, whichever of its logins that is;
-- else the database role that logged in, whatever name it gives.
CREATE OR REPLACE FUNCTION lock_admin.person(p_login text, p_claimed text)
RETURNS text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT CASE WHEN btrim(p_claimed) <> '' AND EXISTS (SELECT FROM lock_admin.application_login AS a WHERE a.login = p_login)
              THEN 'web login ' || lower(left(btrim(p_claimed), 200))
              ELSE 'database role ' || lock_catalog.readable(p_login) END
$$;
COMMENT ON FUNCTION lock_admin.person(text, text) IS
  'Who a login (session_user) that gives a name is: "web login ..." of the application''s logins, "database role ..." of all others.';
