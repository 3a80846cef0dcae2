CREATE OR REPLACE FUNCTION lock_admin.person_name(p_login text, p_claimed text)
RETURNS text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT CASE WHEN lock_admin.person(p_login, p_claimed) LIKE 'web login %' THEN left(btrim(p_claimed), 200)
              ELSE lock_catalog.readable(p_login) END
$$;
COMMENT ON FUNCTION lock_admin.person_name(text, text) IS
  'The name to show for lock_admin.person(): the web login as the application wrote it, or the database role.';
