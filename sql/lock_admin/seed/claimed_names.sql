-- An armed policy that an earlier release let one database role arm under two names that it gave was not agreed by two
-- people, as far as can be told: it is a dry run from the update on, and says why. Names that the application's own login
-- passed are web logins; one name for both is one person alone, whom that release's rule allowed to.
DO $claimed$
BEGIN
  IF to_regprocedure('lock_admin.set_policy_mode(text, text, text, text, integer)') IS NULL
     OR EXISTS (SELECT 1 FROM pg_catalog.pg_proc AS p
                 WHERE p.oid = to_regprocedure('lock_admin.set_policy_mode(text, text, text, text, integer)')
                   AND p.prosrc LIKE '%lock_admin.person(%') THEN
    RETURN;
  END IF;
  WITH changed AS (
    UPDATE lock_admin.policy_mode_s AS m SET load_end_date = greatest(clock_timestamp(), m.load_date + interval '1 microsecond')
      FROM lock_admin.policy_s AS r
     WHERE m.load_end_date IS NULL AND m.mode = 'armed' AND r.policy_hk = m.policy_hk AND r.load_end_date IS NULL
       AND m.changed_login = r.edited_login AND lower(m.changed_by) <> lower(r.edited_by)
       AND NOT EXISTS (SELECT FROM lock_admin.application_login AS a WHERE a.login = r.edited_login)
    RETURNING m.policy_hk, m.version, m.load_end_date, r.edited_by, m.changed_by, r.edited_login)
  INSERT INTO lock_admin.policy_mode_s (policy_hk, load_date, mode, version, reason, changed_by)
  SELECT c.policy_hk, c.load_end_date, 'dry_run', c.version,
         format('Updated: %s edited these rules and %s armed them, but both names were given by the one database role %s. '
                'Two people are two web logins or two database roles: let another one look at it and arm it again.',
                c.edited_by, c.changed_by, c.edited_login),
         'update'
    FROM changed AS c;
END
$claimed$;
