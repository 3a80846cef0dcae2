-- Reading rights are not the right to say what was watched: whoever could, could make history a gap, or a dead loop alive.
CREATE OR REPLACE FUNCTION lock_engine.require_watcher()
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF NOT (EXISTS (SELECT FROM lock_admin.application_login a WHERE a.login = session_user)
          OR pg_has_role(session_user, 'lock_admin_role', 'MEMBER')) THEN
    RAISE EXCEPTION 'Only the monitor''s own login says what was watched, and % is none: a DBA lets it in with manage.py lockmon_deploy --login %, or INSERT INTO lock_admin.application_login (login) VALUES (%);',
      session_user, quote_ident(session_user), quote_literal(session_user) USING ERRCODE = 'insufficient_privilege';
  END IF;
END
$$;
COMMENT ON FUNCTION lock_engine.require_watcher() IS
  'Refuses (42501) a login that is neither the application''s (lock_admin.application_login) nor may take lock_admin_role.';
