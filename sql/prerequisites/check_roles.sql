-- Roles of the product that exist already are about to be given rights: to read other sessions' statements, to signal, to read
-- the server's log. Nobody may hold these by having made, or being in, such a role beforehand.
DO $check_roles$
DECLARE
    v_lines text;
BEGIN
    SELECT string_agg(x.line, ' ' ORDER BY x.line) INTO v_lines
    FROM (
        SELECT format('ALTER ROLE %I NOLOGIN;', r.rolname) AS line
        FROM pg_roles AS r
        WHERE r.rolcanlogin
          AND r.rolname IN ('lock_vault_owner', 'lock_door_owner', 'lock_action_log_owner', 'lock_log_reader',
                            'lock_alert_sandbox', 'lock_site_reader')
        UNION ALL
        SELECT DISTINCT format('REVOKE %I FROM %I;', r.rolname, m.rolname)
        FROM pg_auth_members AS a
        JOIN pg_roles AS r ON r.oid = a.roleid
        JOIN pg_roles AS m ON m.oid = a.member
        WHERE r.rolname IN ('lock_vault_owner', 'lock_door_owner', 'lock_action_log_owner', 'lock_log_reader',
                            'lock_alert_sandbox', 'lock_site_reader')
          AND NOT m.rolsuper AND m.rolname <> current_user
    ) AS x;
    IF v_lines IS NOT NULL THEN
        RAISE EXCEPTION 'Others could work as the monitor''s own roles, which this install gives rights to: run % and install again, or let whoever made these roles install. Nothing was changed.',
            v_lines USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$check_roles$;
