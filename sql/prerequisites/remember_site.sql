-- What was here before the first install belongs to the site: removing the product leaves it alone.
DROP TABLE IF EXISTS pg_temp.lockmon_before;
CREATE TEMP TABLE lockmon_before ON COMMIT DROP AS
SELECT 'schema' AS kind, n.nspname::text AS schema_name, n.nspname::text AS object_name
FROM pg_catalog.pg_namespace AS n
WHERE n.nspname IN ('util', 'auth', 'monitoring', 'lock_monitoring')
UNION ALL
SELECT 'relation', n.nspname::text, c.relname::text
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname IN ('util', 'auth', 'monitoring', 'lock_monitoring') AND c.relkind IN ('r', 'p', 'v', 'm', 'i', 'I')
UNION ALL
SELECT DISTINCT 'function', n.nspname::text, p.proname::text
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname IN ('util', 'auth', 'monitoring', 'lock_monitoring')
UNION ALL
SELECT 'role', '', r.rolname::text
FROM pg_catalog.pg_roles AS r
WHERE r.rolname IN ('lock_monitoring_role', 'lock_admin_role', 'lock_vault_owner', 'lock_door_owner',
                    'lock_action_log_owner', 'lock_log_reader', 'lock_alert_sandbox', 'lock_site_reader')
  -- Not those that an install in another database of this cluster made.
  AND shobj_description(r.oid, 'pg_authid') IS DISTINCT FROM 'One Vault lock monitor: made by its install.';
