-- What an earlier release left and CREATE OR REPLACE could not replace goes, to be made anew by this very install: functions
-- with other arguments or results, views that lack the columns in front, and whatever this release no longer brings.
-- What of ours depends on such an object goes with it and comes back. What the site built upon one is named, and then
-- nothing is changed. pg_temp.lockmon_expected holds what this release brings.
CREATE OR REPLACE FUNCTION pg_temp.outdated_objects()
RETURNS TABLE (catalog oid, object_id oid, object_name text, target text)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH ours AS (
        SELECT p.oid, 'pg_proc'::regclass::oid AS catalog, 'function' AS kind, n.nspname AS schema_name,
               p.proname::text AS name, p.oid::regprocedure::text AS full_name,
               -- from 14 on a procedure's arguments are shown with IN
               ARRAY[regexp_replace(pg_get_function_arguments(p.oid), '\mIN p_', 'p_', 'g'), pg_get_function_result(p.oid)] AS parts,
               CASE p.prokind WHEN 'p' THEN 'PROCEDURE ' ELSE 'FUNCTION ' END || p.oid::regprocedure::text AS target,
               p.proowner AS owner
        FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
        UNION ALL
        SELECT c.oid, 'pg_class'::regclass, 'view', n.nspname, c.relname::text, n.nspname || '.' || c.relname,
               ARRAY(SELECT a.attname || ' ' || format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a
                     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
               'VIEW ' || format('%I.%I', n.nspname, c.relname), c.relowner
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.relkind = 'v'
    )
    SELECT o.catalog, o.oid, o.kind || ' ' || o.full_name, o.target
    FROM ours AS o
    LEFT JOIN pg_temp.lockmon_expected AS e ON e.kind = o.kind AND e.full_name = o.full_name
    WHERE (o.schema_name IN ('lock_catalog', 'lock_engine', 'lock_log', 'lock_admin')
           -- in the schemas that the site has, too, only what bears our names or belongs to our owners
           OR (o.schema_name IN ('lock_monitoring', 'monitoring')
               AND NOT EXISTS (SELECT 1 FROM lock_engine.site_object AS s
                               WHERE s.schema_name = o.schema_name AND s.object_name = o.name
                                 AND s.kind = CASE o.kind WHEN 'view' THEN 'relation' ELSE 'function' END
                                 AND o.schema_name = 'monitoring')
               AND (o.owner IN (SELECT r.oid FROM pg_roles AS r
                                WHERE r.rolname IN ('lock_vault_owner', 'lock_door_owner', 'lock_log_reader', 'lock_alert_sandbox', 'lock_site_reader'))
                    OR EXISTS (SELECT 1 FROM pg_temp.lockmon_expected AS x
                               WHERE x.kind = o.kind AND x.full_name ~ ('^' || o.schema_name || '\.' || o.name || '(\(|$)')))))
      AND (e.full_name IS NULL
           OR (o.kind = 'function' AND o.parts <> e.parts)
           OR (o.kind = 'view' AND o.parts <> e.parts[1:cardinality(o.parts)]))
$$;

-- A function's name with its arguments' types, the same whatever the search path of this session is.
CREATE OR REPLACE FUNCTION pg_temp.full_name(p_function regprocedure)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN p_function::text;
END
$$;

-- What depends on an object: views by their rules, functions and views by row types, triggers by their function.
CREATE OR REPLACE FUNCTION pg_temp.dependants_of(p_catalog oid, p_object oid)
RETURNS TABLE (catalog oid, object_id oid)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT DISTINCT CASE d.classid WHEN 'pg_rewrite'::regclass THEN 'pg_class'::regclass::oid
                                   WHEN 'pg_attrdef'::regclass THEN 'pg_class'::regclass::oid ELSE d.classid END,
           CASE d.classid WHEN 'pg_rewrite'::regclass THEN (SELECT w.ev_class FROM pg_rewrite AS w WHERE w.oid = d.objid)
                          WHEN 'pg_attrdef'::regclass THEN (SELECT f.adrelid FROM pg_attrdef AS f WHERE f.oid = d.objid)
                          ELSE d.objid END
    FROM pg_depend AS d
    WHERE d.deptype IN ('n', 'a')
      AND ((d.refclassid = p_catalog AND d.refobjid = p_object)
           OR (p_catalog = 'pg_class'::regclass AND d.refclassid = 'pg_type'::regclass
               AND d.refobjid IN (SELECT t.oid FROM pg_type AS t WHERE t.typrelid = p_object
                                  UNION ALL SELECT t.typarray FROM pg_type AS t WHERE t.typrelid = p_object)))
$$;

DROP TABLE IF EXISTS pg_temp.lockmon_site_grants;
CREATE TEMP TABLE lockmon_site_grants (object_name text, grantee text, privilege text, grantable boolean) ON COMMIT DROP;

DO $drop_outdated$
DECLARE
    v_new integer := 1;
    v_object record;
    v_other record;
    v_ours boolean;
BEGIN
    DROP TABLE IF EXISTS pg_temp.lockmon_outdated;
    CREATE TEMP TABLE lockmon_outdated ON COMMIT DROP AS SELECT o.* FROM pg_temp.outdated_objects() AS o;
    WHILE v_new > 0 LOOP
        v_new := 0;
        FOR v_object IN SELECT o.* FROM pg_temp.lockmon_outdated AS o ORDER BY o.object_name LOOP
            FOR v_other IN
                SELECT d.catalog, d.object_id, pg_catalog.pg_describe_object(d.catalog, d.object_id, 0) AS described
                FROM pg_temp.dependants_of(v_object.catalog, v_object.object_id) AS d
                WHERE NOT EXISTS (SELECT 1 FROM pg_temp.lockmon_outdated AS o
                                  WHERE o.catalog = d.catalog AND o.object_id = d.object_id)
                ORDER BY described
            LOOP
                v_ours := CASE v_other.catalog
                    WHEN 'pg_catalog.pg_proc'::regclass THEN EXISTS (
                        SELECT 1 FROM pg_temp.lockmon_expected AS e
                        WHERE e.kind = 'function' AND e.full_name = pg_temp.full_name(v_other.object_id::regprocedure))
                    WHEN 'pg_catalog.pg_class'::regclass THEN EXISTS (
                        SELECT 1 FROM pg_temp.lockmon_expected AS e
                        JOIN pg_catalog.pg_class AS c ON c.oid = v_other.object_id AND c.relkind = 'v'
                        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                        WHERE e.kind = 'view' AND e.full_name = n.nspname || '.' || c.relname)
                    WHEN 'pg_catalog.pg_trigger'::regclass THEN EXISTS (
                        SELECT 1 FROM pg_catalog.pg_trigger AS t
                        JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
                        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                        WHERE t.oid = v_other.object_id
                          AND n.nspname IN ('lock_engine', 'lock_log', 'lock_admin', 'lock_monitoring', 'monitoring'))
                    ELSE false END;
                IF NOT v_ours THEN
                    RAISE EXCEPTION 'The % of an earlier release must be replaced, but % depends on it. Nothing was changed.',
                        v_object.object_name, v_other.described
                        USING HINT = 'Drop what depends on it, install again, then create it anew.';
                END IF;
                CONTINUE WHEN v_other.catalog = 'pg_catalog.pg_trigger'::regclass;
                INSERT INTO pg_temp.lockmon_outdated (catalog, object_id, object_name, target)
                SELECT v_other.catalog, v_other.object_id, v_other.described,
                       CASE v_other.catalog WHEN 'pg_catalog.pg_proc'::regclass
                           THEN 'FUNCTION ' || pg_temp.full_name(v_other.object_id::regprocedure)
                           ELSE 'VIEW ' || v_other.object_id::regclass::text END;
                v_new := v_new + 1;
            END LOOP;
        END LOOP;
    END LOOP;
    -- what the site granted on a view that comes back comes back, too
    INSERT INTO pg_temp.lockmon_site_grants
    SELECT n.nspname || '.' || c.relname, g.rolname, a.privilege_type, a.is_grantable
    FROM pg_temp.lockmon_outdated AS o
    JOIN pg_catalog.pg_class AS c ON c.oid = o.object_id AND o.catalog = 'pg_catalog.pg_class'::regclass
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS a
    JOIN pg_catalog.pg_roles AS g ON g.oid = a.grantee
    WHERE a.grantee <> c.relowner AND g.rolname !~ '^lock_(monitoring_role|admin_role|vault_owner|door_owner|action_log_owner|log_reader|alert_sandbox|site_reader)$';
    -- every dependant is in the list, so that nothing else can go with them
    FOR v_object IN SELECT o.* FROM pg_temp.lockmon_outdated AS o ORDER BY o.target LOOP
        IF v_object.catalog = 'pg_catalog.pg_proc'::regclass AND EXISTS (
               SELECT 1 FROM pg_catalog.pg_proc AS p WHERE p.oid = v_object.object_id)
           OR v_object.catalog = 'pg_catalog.pg_class'::regclass AND EXISTS (
               SELECT 1 FROM pg_catalog.pg_class AS c WHERE c.oid = v_object.object_id)
        THEN
            EXECUTE 'DROP ' || v_object.target || ' CASCADE';
        END IF;
    END LOOP;
END
$drop_outdated$;
