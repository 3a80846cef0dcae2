CREATE OR REPLACE FUNCTION lock_engine.catalog_hash()
RETURNS text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT md5(coalesce(string_agg(d.definition, E'\n' ORDER BY d.definition COLLATE "C"), ''))
    FROM (
        SELECT pg_catalog.pg_get_functiondef(p.oid) AS definition
        FROM pg_catalog.pg_proc AS p
        JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
        WHERE n.nspname IN ('lock_catalog', 'lock_engine', 'lock_log', 'lock_admin', 'lock_monitoring')
          AND p.prokind IN ('f', 'p')
        UNION ALL
        SELECT n.nspname || '.' || c.relname || ': ' || pg_catalog.pg_get_viewdef(c.oid)
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('lock_catalog', 'lock_engine', 'lock_log', 'lock_admin', 'lock_monitoring')
          AND c.relkind = 'v'
        UNION ALL
        SELECT pg_catalog.pg_get_indexdef(i.indexrelid)
        FROM pg_catalog.pg_index AS i
        JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('lock_engine', 'lock_log', 'lock_admin', 'lock_monitoring')
          -- the site makes, detaches and drops partitions every day
          AND NOT c.relispartition AND (n.nspname <> 'lock_monitoring' OR c.relname ~ '_[hsl]$')
        UNION ALL
        SELECT n.nspname || '.' || c.relname || '.' || a.attname || ' '
               || pg_catalog.format_type(a.atttypid, a.atttypmod) || a.attnotnull::text
        FROM pg_catalog.pg_attribute AS a
        JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('lock_engine', 'lock_log', 'lock_admin', 'lock_monitoring')
          AND c.relkind IN ('r', 'p') AND NOT c.relispartition
          AND (n.nspname <> 'lock_monitoring' OR c.relname ~ '_[hsl]$') AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        -- What the product's own roles and PUBLIC may do; what a site grants to its own roles is the site's affair.
        SELECT g.object || ' ' || g.acl::text
        FROM (
            SELECT p.oid::pg_catalog.regprocedure::text AS object, unnest(p.proacl) AS acl
            FROM pg_catalog.pg_proc AS p
            JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
            WHERE n.nspname IN ('lock_catalog', 'lock_engine', 'lock_log', 'lock_admin', 'lock_monitoring')
            UNION ALL
            SELECT n.nspname || '.' || c.relname, unnest(c.relacl)
            FROM pg_catalog.pg_class AS c
            JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            WHERE n.nspname IN ('lock_catalog', 'lock_engine', 'lock_log', 'lock_admin', 'lock_monitoring')
              AND NOT c.relispartition
              AND (n.nspname <> 'lock_monitoring' OR c.relkind NOT IN ('r', 'p') OR c.relname ~ '_[hsl]$')
            UNION ALL
            SELECT n.nspname, unnest(n.nspacl)
            FROM pg_catalog.pg_namespace AS n
            WHERE n.nspname IN ('lock_catalog', 'lock_engine', 'lock_log', 'lock_admin', 'lock_monitoring')
        ) AS g
        WHERE g.acl::text ~ '^(lock_(monitoring_role|admin_role|vault_owner|door_owner|action_log_owner|log_reader|alert_sandbox))?='
    ) AS d
$$;

COMMENT ON FUNCTION lock_engine.catalog_hash() IS
    'Digest of every definition of the product in this database; compare with the last lock_engine.installation row of the same server version.';
