-- Whoever owns a schema can drop what is in it and make another of its name; whoever owns a table can give it triggers. So
-- the schemas and tables of the contract that a site's own role made are taken over (it keeps looking into them, others keep
-- what they were granted, removal gives them back), and nobody else may create in a schema of the product.
CREATE TEMP TABLE IF NOT EXISTS lockmon_taken (
    kind        text,
    object_id   oid,
    schema_name text,
    object_name text,
    owner_name  text
) ON COMMIT DROP;

DO $take_over$
DECLARE
    v_object record;
    v_lines text;
BEGIN
    FOR v_object IN
        SELECT 'schema' AS kind, n.oid, n.nspname::text AS schema_name, n.nspname::text AS object_name,
               format('SCHEMA %I', n.nspname) AS target, pg_get_userbyid(n.nspowner) AS owner,
               n.nspname IN ('lock_monitoring', 'monitoring') AS is_shared
        FROM pg_namespace AS n
        WHERE n.nspname IN ('lock_monitoring', 'monitoring', 'lock_catalog', 'lock_engine', 'lock_log', 'lock_admin')
          AND NOT pg_temp.is_trusted(n.nspowner)
        UNION ALL
        SELECT 'relation', t.object_id, t.schema_name, t.table_name, format('TABLE %I.%I', t.schema_name, t.table_name),
               pg_get_userbyid(t.owner), t.is_shared
        FROM pg_temp.vault_tables() AS t
        WHERE NOT pg_temp.is_trusted(t.owner)
        UNION ALL
        SELECT 'relation', c.oid, n.nspname, c.relname, format('RELATION %I.%I', n.nspname, c.relname),
               pg_get_userbyid(c.relowner), false
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('lock_catalog', 'lock_engine', 'lock_log', 'lock_admin') AND c.relkind NOT IN ('r', 'p', 'f')
          AND NOT pg_temp.is_trusted(c.relowner)
        ORDER BY 1 DESC, 5
    LOOP
        IF NOT v_object.is_shared THEN
            RAISE EXCEPTION 'The % belongs to "%", whose code would run as you: if "%" installed the monitor, let "%" do this too; if not, rename or drop it. Nothing was changed.',
                lower(split_part(v_object.target, ' ', 1)) || ' ' || split_part(v_object.target, ' ', 2),
                v_object.owner, v_object.owner, v_object.owner USING ERRCODE = 'insufficient_privilege';
        END IF;
        BEGIN
            EXECUTE format('ALTER %s OWNER TO CURRENT_USER', v_object.target);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE EXCEPTION 'The % belongs to "%", whose code would run as the monitor: let a superuser run ALTER % OWNER TO %; GRANT % ON % TO %; and install again. Nothing was changed.',
                lower(split_part(v_object.target, ' ', 1)) || ' ' || split_part(v_object.target, ' ', 2), v_object.owner,
                v_object.target, quote_ident(current_user), CASE v_object.kind WHEN 'schema' THEN 'USAGE' ELSE 'SELECT' END,
                v_object.target, quote_ident(v_object.owner) USING ERRCODE = 'insufficient_privilege';
        END;
        EXECUTE format('GRANT %s ON %s TO %I', CASE v_object.kind WHEN 'schema' THEN 'USAGE' ELSE 'SELECT' END,
                       v_object.target, v_object.owner);
        INSERT INTO lockmon_taken (kind, object_id, schema_name, object_name, owner_name)
        VALUES (v_object.kind, v_object.oid, v_object.schema_name, v_object.object_name, v_object.owner);
        INSERT INTO lockmon_note (sentence)
        VALUES (format('The %s belonged to "%s" and is now %s''s: "%s" still reads it, and gets it back when the monitor is removed.',
                       lower(split_part(v_object.target, ' ', 1)) || ' ' || split_part(v_object.target, ' ', 2),
                       v_object.owner, current_user, v_object.owner))
        ON CONFLICT DO NOTHING;
    END LOOP;

    SELECT string_agg(DISTINCT format('REVOKE CREATE ON SCHEMA %I FROM %s;', n.nspname,
                                      CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END), ' ')
    INTO v_lines
    FROM pg_namespace AS n CROSS JOIN LATERAL aclexplode(n.nspacl) AS a
    WHERE n.nspname IN ('lock_monitoring', 'monitoring', 'lock_catalog', 'lock_engine', 'lock_log', 'lock_admin')
      AND a.privilege_type = 'CREATE' AND NOT pg_temp.is_trusted(a.grantee);
    IF v_lines IS NOT NULL THEN
        RAISE EXCEPTION 'Others may create in schemas of the monitor, and what they made there could run as it: run % and install again. Nothing was changed.',
            v_lines USING ERRCODE = 'insufficient_privilege';
    END IF;

    -- To read a table gives nobody code in it; these two rights do: a trigger, and a foreign key whose table is asked by it.
    FOR v_object IN
        SELECT format('TABLE %I.%I', t.schema_name, t.table_name) AS target, a.privilege_type,
               CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee
        FROM pg_temp.vault_tables() AS t
        JOIN pg_class AS c ON c.oid = t.object_id
        CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE a.privilege_type IN ('TRIGGER', 'REFERENCES') AND NOT pg_temp.is_trusted(a.grantee)
        ORDER BY 1, 2, 3
    LOOP
        EXECUTE format('REVOKE %s ON %s FROM %s CASCADE', v_object.privilege_type, v_object.target, v_object.grantee);
        INSERT INTO lockmon_note (sentence)
        VALUES (format('%s may no longer have %s on the table %s: its code would run as the monitor.', v_object.grantee,
                       v_object.privilege_type, split_part(v_object.target, ' ', 2)))
        ON CONFLICT DO NOTHING;
    END LOOP;

    IF to_regclass('lock_engine.site_owner') IS NOT NULL THEN
        EXECUTE 'INSERT INTO lock_engine.site_owner (kind, schema_name, object_name, owner_name) '
                'SELECT t.kind, t.schema_name, t.object_name, t.owner_name FROM lockmon_taken AS t ON CONFLICT DO NOTHING';
    END IF;
END
$take_over$;

-- Now that nobody else can change these tables: is there something in them that others made and that would run with the
-- monitor's rights? An index of the product that an earlier install built upon an operator of somebody's is made anew.
DO $check_parts$
DECLARE
    v_index record;
    v_is_sites boolean;
    v_problems text;
BEGIN
    FOR v_index IN
        SELECT n.nspname AS schema_name, c.relname AS index_name
        FROM pg_temp.vault_tables() AS t
        CROSS JOIN LATERAL pg_temp.parts_of_others(t.object_id, false) AS p
        JOIN pg_class AS c ON c.oid = p.object_id
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE p.kind = 'index'
          AND to_regclass('lock_engine.site_object') IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM pg_constraint AS k WHERE k.conindid = c.oid)
          AND NOT c.relispartition
    LOOP
        EXECUTE 'SELECT EXISTS (SELECT 1 FROM lock_engine.site_object AS s'
                ' WHERE s.kind = ''relation'' AND s.schema_name = $1 AND s.object_name = $2)'
        INTO v_is_sites USING v_index.schema_name::text, v_index.index_name::text;
        IF NOT v_is_sites THEN
            EXECUTE format('DROP INDEX %I.%I', v_index.schema_name, v_index.index_name);
        END IF;
    END LOOP;

    SELECT string_agg(x.problem, ', ' ORDER BY x.problem) INTO v_problems
    FROM (
        SELECT format('%s.%s: %s', t.schema_name, t.table_name, p.part) AS problem
        FROM pg_temp.vault_tables() AS t
        CROSS JOIN LATERAL pg_temp.parts_of_others(t.object_id, EXISTS (
            SELECT 1 FROM lockmon_taken AS k WHERE k.kind = 'relation' AND k.object_id = t.object_id)) AS p
        UNION ALL
        SELECT format('%s.%s is a foreign table', t.schema_name, t.table_name)
        FROM pg_temp.vault_tables() AS t JOIN pg_class AS c ON c.oid = t.object_id AND c.relkind = 'f'
        UNION ALL
        -- each row that is deleted here asks that table, in this session
        SELECT format('%s.%s: the foreign key %I of %s (of "%s")', t.schema_name, t.table_name, k.conname, k.conrelid::regclass,
                      pg_get_userbyid(c.relowner))
        FROM pg_temp.vault_tables() AS t
        JOIN pg_constraint AS k ON k.confrelid = t.object_id AND k.contype = 'f'
        JOIN pg_class AS c ON c.oid = k.conrelid
        WHERE NOT pg_temp.is_trusted(c.relowner)
        UNION ALL
        -- whoever owns the table above writes and deletes through it, and gives this one indexes with code of his
        SELECT format('%s.%s is a part of %s, which belongs to "%s" (ALTER TABLE %s)', t.schema_name, t.table_name, c.oid::regclass,
                      pg_get_userbyid(c.relowner),
                      CASE c.relkind WHEN 'p' THEN format('%s DETACH PARTITION %s', c.oid::regclass, i.inhrelid::regclass)
                                     ELSE format('%s NO INHERIT %s', i.inhrelid::regclass, c.oid::regclass) END)
        FROM pg_temp.vault_tables() AS t
        JOIN pg_inherits AS i ON i.inhrelid = t.object_id
        JOIN pg_class AS c ON c.oid = i.inhparent
        WHERE NOT pg_temp.is_trusted(c.relowner)
    ) AS x;
    IF v_problems IS NOT NULL THEN
        RAISE EXCEPTION 'What others made would run with the monitor''s rights: %. Drop these parts, or give their functions to a superuser, and install again. Nothing was changed.',
            v_problems USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$check_parts$;

-- To give an object to its owner, a role that is no superuser must be a member of that owner, and the owner must be
-- allowed to create in the object's schema. Both last as long as this transaction: leave_owners.sql takes them back.
-- From PostgreSQL 16 on the maker of a role administers it without being able to act as it; that stays.
DO $take_owners$
DECLARE
    v_owner text;
BEGIN
    IF (SELECT r.rolsuper FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user) THEN
        RETURN;
    END IF;
    FOREACH v_owner IN ARRAY ARRAY['lock_vault_owner', 'lock_door_owner', 'lock_action_log_owner', 'lock_log_reader',
                                   'lock_alert_sandbox', 'lock_site_reader'] LOOP
        BEGIN
            IF current_setting('server_version_num')::integer >= 160000 THEN
                EXECUTE format('GRANT %I TO CURRENT_USER WITH INHERIT TRUE, SET TRUE', v_owner);
            ELSE
                EXECUTE format('GRANT %I TO CURRENT_USER', v_owner);
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE EXCEPTION 'Role "%" may not install: the role % was made by somebody else, who must run GRANT % TO % WITH ADMIN OPTION; first. Nothing was changed.',
                current_user, v_owner, v_owner, quote_ident(current_user) USING ERRCODE = 'insufficient_privilege';
        END;
        EXECUTE format('GRANT CREATE ON SCHEMA lock_monitoring, lock_catalog, lock_engine, lock_log, lock_admin, monitoring TO %I',
                       v_owner);
    END LOOP;
END
$take_owners$;
