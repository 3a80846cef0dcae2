-- Logins of the application, which says for whom it acts. Of everybody else the login itself is the person: whoever can type
-- SQL can type any name. Only who installs writes here (lockmon_deploy --login), not lock_admin_role.
CREATE TABLE IF NOT EXISTS lock_admin.application_login (
    login    name PRIMARY KEY,
    added_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    added_by text NOT NULL DEFAULT session_user
);

COMMENT ON TABLE lock_admin.application_login IS
    'Database logins whose word for a web login is taken (two-person rule of policies, denied attempts). Filled by lockmon_deploy --login.';

-- Release candidate 1 kept no such list. Its deployment made these logins unlike a person's: none inherits what it may take.
DO $take_over$
BEGIN
  IF to_regprocedure('lock_admin.set_policy_mode(text, text, text, text, integer)') IS NOT NULL
     AND to_regprocedure('lock_admin.person(text, text)') IS NULL THEN
    INSERT INTO lock_admin.application_login (login)
    SELECT r.rolname
      FROM lock_admin.setting AS s
     CROSS JOIN LATERAL jsonb_array_elements_text(s.value) AS l (login)
      JOIN pg_catalog.pg_roles AS r ON r.rolname = l.login
     WHERE s.name = 'monitor.own_logins' AND r.rolcanlogin AND NOT r.rolsuper
       AND pg_catalog.pg_has_role(r.oid, 'lock_monitoring_role', 'MEMBER')
       AND NOT pg_catalog.pg_has_role(r.oid, 'lock_monitoring_role', 'USAGE')
    ON CONFLICT DO NOTHING;
  END IF;
END
$take_over$;
