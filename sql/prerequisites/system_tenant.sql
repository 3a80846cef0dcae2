-- Sessions that no tenant claims belong to the system tenant: the one that the installing person names (a business key, or a
-- key as \x..., in the setting one_vault.system_tenant), else the site's own if it has one, else one that is added. The
-- site's functions are never asked, and nothing at the site's table is run by the installing role: not while it is read, and
-- no trigger, rule, default or check when the row is added. Where that cannot be had, the table's owner adds the row.
DO $system_tenant$
DECLARE
    c_line constant text := 'INSERT INTO auth.tenant_h (tenant_hk, tenant_bk, load_date, record_source) '
                            'VALUES (sha256(convert_to(''SYSTEM'', ''UTF8'')), ''SYSTEM'', clock_timestamp(), ''LOCK_MONITOR'');';
    c_name constant text := 'lockmon_deploy --system-tenant \x..., or PGOPTIONS="-c one_vault.system_tenant=\\x..." for psql';
    v_table constant oid := 'auth.tenant_h'::regclass;
    v_named text := nullif(btrim(current_setting('one_vault.system_tenant', true)), '');
    v_tenant_hk bytea;
    v_in_the_way text;
    v_aside text;
    v_columns text;
    v_nulls text;
BEGIN
    IF v_named IS NULL AND EXISTS (SELECT 1 FROM lock_admin.setting AS s WHERE s.name = 'system.tenant_hk') THEN
        -- found or added at the install before; the vault's foreign keys hold its row since
        RETURN;
    END IF;

    v_in_the_way := lock_engine.site_fault('auth.tenant_h', ARRAY['tenant_hk', 'tenant_bk']);

    IF v_named ~ '^\\x([0-9a-fA-F]{2})+$' THEN
        v_tenant_hk := v_named::bytea;
    ELSIF v_in_the_way IS NOT NULL THEN
        RAISE EXCEPTION 'Reading auth.tenant_h could run code of others as you (%): have its owner look up the key of the tenant that sessions of nobody''s shall belong to (SELECT tenant_hk FROM auth.tenant_h WHERE tenant_bk = ...;), and name it: %. Nothing was changed.',
            v_in_the_way, c_name USING ERRCODE = 'insufficient_privilege';
    ELSE
        -- what a policy would hide is an error, and its code is not run
        SET LOCAL row_security = off;
        IF v_named IS NOT NULL THEN
            EXECUTE 'SELECT t.tenant_hk FROM ONLY auth.tenant_h AS t WHERE t.tenant_bk = $1 ORDER BY t.tenant_hk LIMIT 1'
            INTO v_tenant_hk USING v_named;
            IF v_tenant_hk IS NULL THEN
                RAISE EXCEPTION 'There is no tenant with the business key "%" in auth.tenant_h: name one that is there, or none. Nothing was changed.',
                    v_named;
            END IF;
        ELSE
            EXECUTE $q$
                SELECT t.tenant_hk FROM ONLY auth.tenant_h AS t
                WHERE t.tenant_hk = decode(lpad('1', 64, '0'), 'hex') OR t.tenant_hk = sha256(convert_to('SYSTEM', 'UTF8'))
                   OR t.tenant_bk IN ('SYSTEM_OPERATIONS', 'SYSTEM')
                ORDER BY t.tenant_hk = decode(lpad('1', 64, '0'), 'hex') DESC,
                         t.tenant_hk = sha256(convert_to('SYSTEM', 'UTF8')) DESC, t.load_date, t.tenant_hk
                LIMIT 1 $q$ INTO v_tenant_hk;
        END IF;
        SET LOCAL row_security = on;
    END IF;

    IF v_tenant_hk IS NULL AND to_regprocedure('util.get_system_operations_tenant_hk()') IS NOT NULL THEN
        RAISE EXCEPTION 'The site knows its system tenant by util.get_system_operations_tenant_hk(), which is not run as you: have an ordinary login run SELECT util.get_system_operations_tenant_hk(); see that auth.tenant_h has that key, and name it: %. Nothing was changed.',
            c_name USING ERRCODE = 'insufficient_privilege';
    END IF;

    IF v_tenant_hk IS NULL THEN
        -- Triggers and rules stand aside for the one row, unless they are for that very case; a default that is code gets NULL.
        SELECT string_agg(x.part, ', ' ORDER BY x.part) FILTER (WHERE NOT x.aside),
               string_agg(x.part, ', ' ORDER BY x.part) FILTER (WHERE x.aside)
        INTO v_in_the_way, v_aside
        FROM (
            SELECT p.part, coalesce(t.tgenabled, w.ev_enabled, 'A') IN ('O', 'D') AS aside
            FROM pg_temp.parts_of_others(v_table, true, true) AS p
            LEFT JOIN pg_trigger AS t ON p.kind = 'trigger' AND t.oid = p.object_id
            LEFT JOIN pg_rewrite AS w ON p.kind = 'rule' AND w.oid = p.object_id
            LEFT JOIN pg_attribute AS a ON p.kind = 'default' AND a.attrelid = v_table AND a.attname = p.column_name
            WHERE (p.kind <> 'policy' OR row_security_active(v_table)) AND (p.kind <> 'default' OR a.attnotnull)
            UNION ALL
            -- PostgreSQL asks that table in this session, as its owner, whose code could change what this session looks through
            SELECT format('the foreign key %I to %s of "%s"', k.conname, k.confrelid::regclass, pg_get_userbyid(c.relowner)), false
            FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.confrelid
            WHERE k.conrelid = v_table AND k.contype = 'f' AND NOT pg_temp.is_trusted(c.relowner)
              AND EXISTS (SELECT 1 FROM pg_attribute AS a
                          WHERE a.attrelid = v_table AND a.attnum = ANY (k.conkey)
                            AND a.attname IN ('tenant_hk', 'tenant_bk', 'load_date', 'record_source'))
        ) AS x;
        SELECT string_agg(format(', %I', p.column_name), ''), string_agg(', NULL', '') INTO v_columns, v_nulls
        FROM pg_temp.parts_of_others(v_table, false, true) AS p
        WHERE p.kind = 'default';
        IF v_in_the_way IS NULL THEN
            BEGIN
                v_tenant_hk := sha256(convert_to('SYSTEM', 'UTF8'));
                IF v_aside IS NOT NULL THEN
                    PERFORM set_config('session_replication_role', 'replica', true);
                END IF;
                EXECUTE format('INSERT INTO auth.tenant_h (tenant_hk, tenant_bk, load_date, record_source%s) VALUES ($1, $2, $3, $4%s)',
                               v_columns, v_nulls)
                USING v_tenant_hk, 'SYSTEM', clock_timestamp(), 'LOCK_MONITOR';
                IF v_aside IS NOT NULL THEN
                    PERFORM set_config('session_replication_role', 'origin', true);
                    INSERT INTO pg_temp.lockmon_note (sentence)
                    VALUES (format('The tenant SYSTEM was added to auth.tenant_h, for sessions that no tenant claims, without running what the site has there: %s.', v_aside));
                END IF;
            EXCEPTION
                WHEN lock_not_available THEN
                    RAISE;
                WHEN OTHERS THEN
                    v_in_the_way := SQLERRM;
            END;
        END IF;
        IF v_in_the_way IS NOT NULL THEN
            RAISE EXCEPTION 'The tenant for sessions that no tenant claims cannot be added to auth.tenant_h, as code of others would run as you or for another reason (%): have the table''s owner run % and install again; or name a tenant that is there: lockmon_deploy --system-tenant NAME, or PGOPTIONS="-c one_vault.system_tenant=NAME" for psql. Nothing was changed.',
                v_in_the_way, c_line USING ERRCODE = 'insufficient_privilege';
        END IF;
    END IF;

    INSERT INTO lock_admin.setting (name, value, description)
    VALUES ('system.tenant_hk', to_jsonb('\x' || encode(v_tenant_hk, 'hex')),
            'Key of the tenant that sessions belong to when no other tenant claims them; found or added at install.')
    ON CONFLICT (name) DO UPDATE SET value = excluded.value;
END
$system_tenant$;
