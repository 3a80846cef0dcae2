-- First file of both manifests: how this transaction behaves, whether it may run here, and one installer at a time.
-- The search path comes before anything else: whoever may create in a schema of the DBA's own path could otherwise have an
-- operator or a function of his chosen and run as the DBA, and built into the vault's indexes, checks and views.
SET LOCAL search_path = pg_catalog, pg_temp;
-- Whatever the login's default is: who waited for another installer must see what that one did.
SET LOCAL statement_timeout = '5min';
SET LOCAL idle_in_transaction_session_timeout = '5min';
SET LOCAL client_min_messages = warning;
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;

DO $check$
BEGIN
    IF current_setting('server_version_num')::int < 130000 THEN
        RAISE EXCEPTION 'One Vault lock monitor needs PostgreSQL 13 or newer; this server is %. Nothing was changed.',
            current_setting('server_version');
    END IF;
    IF getdatabaseencoding() IN ('SQL_ASCII', 'MULE_INTERNAL') THEN
        RAISE EXCEPTION 'The database "%" has the encoding %, in which nobody can tell which characters a text holds: watch this server from a database in UTF8. Nothing was changed.',
            current_database(), getdatabaseencoding() USING ERRCODE = 'feature_not_supported';
    END IF;
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'This server is a standby and cannot be written to: install on its primary. Nothing was changed.';
    END IF;
    IF current_setting('transaction_read_only')::bool THEN
        RAISE EXCEPTION 'This connection is read only (default_transaction_read_only = on): type SET default_transaction_read_only = off; or install over one that may write. Nothing was changed.';
    END IF;
    IF NOT (SELECT r.rolsuper OR (r.rolcreaterole AND has_database_privilege(r.oid, d.oid, 'CREATE'))
            FROM pg_roles AS r, pg_database AS d
            WHERE r.rolname = current_user AND d.datname = current_database()) THEN
        RAISE EXCEPTION 'Role "%" may not install: it needs CREATEROLE and CREATE on the database "%", or a superuser. Nothing was changed.',
            current_user, current_database() USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$check$;

-- What a role's or the database's default could change about what the files make, or about their being read at all.
-- lockmon/session.py is the list for connections; psql brings none.
DO $settings$
DECLARE
    v_setting record;
BEGIN
    FOR v_setting IN
        SELECT s.name, s.value
          FROM (VALUES
              ('DateStyle', 'ISO, MDY'), ('IntervalStyle', 'postgres'), ('TimeZone', 'UTC'), ('bytea_output', 'hex'),
              ('extra_float_digits', '1'), ('xmlbinary', 'base64'), ('xmloption', 'content'),
              ('standard_conforming_strings', 'on'), ('escape_string_warning', 'on'), ('backslash_quote', 'safe_encoding'),
              ('array_nulls', 'on'), ('transform_null_equals', 'off'), ('quote_all_identifiers', 'off'),
              ('row_security', 'on'), ('gin_fuzzy_search_limit', '0'), ('exit_on_error', 'off'),
              ('check_function_bodies', 'on'), ('default_table_access_method', 'heap'), ('default_tablespace', ''),
              ('temp_tablespaces', ''), ('createrole_self_grant', ''), ('password_encryption', 'scram-sha-256'),
              ('restrict_nonsystem_relation_kind', ''), ('transaction_timeout', '0'), ('jit', 'off'),
              ('plan_cache_mode', 'auto'), ('force_parallel_mode', 'off'), ('debug_parallel_query', 'off'),
              -- triggers and foreign keys hold; only a superuser can have it otherwise
              ('session_replication_role', 'origin')) AS s (name, value)
         WHERE current_setting(s.name, true) IS NOT NULL
    LOOP
        IF current_setting(v_setting.name) IS DISTINCT FROM v_setting.value THEN
            PERFORM set_config(v_setting.name, v_setting.value, true);
        END IF;
    END LOOP;
END
$settings$;

-- The second installer of this database waits here. Installers of other databases meet at pg_authid, which all
-- databases share, because the roles are created for all of them; ordinary CREATE ROLE is not held up by that lock.
-- Only a superuser may take it: where two of the others create the same roles at once, the second is told so.
SET LOCAL lock_timeout = '60s';
DO $one_installer$
BEGIN
    PERFORM pg_advisory_xact_lock(460, 2);
    IF (SELECT r.rolsuper FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user) THEN
        LOCK TABLE pg_catalog.pg_authid IN SHARE UPDATE EXCLUSIVE MODE;
    END IF;
EXCEPTION WHEN lock_not_available THEN
    RAISE EXCEPTION 'Another installation of One Vault lock monitor has been running for over 60 seconds; try again when it has ended. Nothing was changed.'
        USING ERRCODE = 'lock_not_available';
END
$one_installer$;
SET LOCAL lock_timeout = '10s';

-- Whoever reads several views of the vault takes them in another order than this replaces them. Of such a pair PostgreSQL ends
-- the one that finds the deadlock, a second after it began to wait: rather the reader, whose next call works, than all of this.
DO $gives_no_way$
BEGIN
    IF (SELECT r.rolsuper FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user) THEN
        SET LOCAL deadlock_timeout = '8s';
    END IF;
END
$gives_no_way$;

-- What the person who installs should know at the end, a sentence a row.
CREATE TEMP TABLE IF NOT EXISTS lockmon_note (
    note_id  integer GENERATED ALWAYS AS IDENTITY,
    sentence text NOT NULL UNIQUE
) ON COMMIT DROP;

-- A site's existing table gets the columns of ours that it lacks; one that has them all is not locked.
CREATE OR REPLACE PROCEDURE pg_temp.add_columns(p_table text, p_columns text[])
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_missing text;
    v_sequence text := p_table || '_satellite_id_seq';
    v_definitions text[] := p_columns;
    v_owner text;
BEGIN
    -- A table with partitions (or children) cannot be given an identity before PostgreSQL 17, and a partition with one
    -- cannot be attached: there the numbers come from a sequence of the same name, as a default that partitions inherit.
    IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute AS a
                   WHERE a.attrelid = p_table::regclass AND a.attname = 'satellite_id' AND NOT a.attisdropped)
       AND (SELECT c.relkind = 'p' OR c.relhassubclass FROM pg_catalog.pg_class AS c WHERE c.oid = p_table::regclass) THEN
        EXECUTE format('CREATE SEQUENCE IF NOT EXISTS %s', v_sequence);
        EXECUTE format('GRANT USAGE ON SEQUENCE %s TO lock_vault_owner', v_sequence);
        v_definitions := ARRAY(
            SELECT CASE WHEN d.definition LIKE 'satellite_id %'
                        THEN format('satellite_id bigint NOT NULL DEFAULT nextval(%L::regclass)', v_sequence) ELSE d.definition END
            FROM unnest(p_columns) WITH ORDINALITY AS d (definition, place) ORDER BY d.place);
    END IF;
    SELECT string_agg('ADD COLUMN ' || d.definition, ', ' ORDER BY d.place)
    INTO v_missing
    FROM unnest(v_definitions) WITH ORDINALITY AS d (definition, place)
    WHERE NOT EXISTS (
        SELECT 1 FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = p_table::regclass
          AND a.attname = split_part(d.definition, ' ', 1)
          AND NOT a.attisdropped);
    IF v_missing IS NOT NULL THEN
        EXECUTE format('ALTER TABLE %s %s', p_table::regclass, v_missing);
    END IF;
    IF v_definitions <> p_columns THEN
        SELECT pg_catalog.pg_get_userbyid(c.relowner) INTO v_owner FROM pg_catalog.pg_class AS c WHERE c.oid = p_table::regclass;
        EXECUTE format('ALTER SEQUENCE %s OWNER TO %I', v_sequence, v_owner);
        EXECUTE format('ALTER SEQUENCE %s OWNED BY %s.satellite_id', v_sequence, p_table);
    END IF;
END
$$;

-- A unique index; on a table that the site has partitioned one that is not, as PostgreSQL has none there without the columns
-- of the partitions. What it would guard holds all the same: numbers come from one sequence, and one cycle writes at a time.
CREATE OR REPLACE PROCEDURE pg_temp.create_unique_index(p_table text, p_definition text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (SELECT c.relkind = 'p' FROM pg_catalog.pg_class AS c WHERE c.oid = p_table::regclass) THEN
        EXECUTE replace(p_definition, 'CREATE UNIQUE INDEX', 'CREATE INDEX');
    ELSE
        EXECUTE p_definition;
    END IF;
END
$$;

-- Whose code may run while this installs, and as the monitor afterwards? What belongs to a superuser, to the installing role
-- or to the product's own roles gives nobody a right that he has not; whatever else is there was made by others.
CREATE OR REPLACE FUNCTION pg_temp.is_trusted(p_role oid)
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (
        SELECT 1 FROM pg_roles AS r
        WHERE r.oid = p_role
          AND (r.rolsuper OR r.rolname = current_user
               OR r.rolname ~ '^lock_(vault_owner|door_owner|action_log_owner|log_reader|alert_sandbox|site_reader)$'))
$$;

-- The tables of the product in the schemas that a site may have had before.
CREATE OR REPLACE FUNCTION pg_temp.shared_tables()
RETURNS text[]
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ARRAY['lock_monitoring.lock_activity_h', 'lock_monitoring.lock_activity_s',
                 'lock_monitoring.blocking_session_h', 'lock_monitoring.blocking_session_s',
                 'lock_monitoring.deadlock_event_h', 'lock_monitoring.deadlock_event_s',
                 'lock_monitoring.lock_wait_analysis_h', 'lock_monitoring.lock_wait_analysis_s',
                 'lock_monitoring.lock_blocking_l', 'lock_monitoring.deadlock_involvement_l',
                 'monitoring.alert_configuration_h', 'monitoring.alert_configuration_s',
                 'monitoring.alert_event_h', 'monitoring.alert_event_s', 'monitoring.alert_state',
                 'monitoring.alert_message', 'monitoring.alert_delivery', 'monitoring.alert_channel']
$$;

-- Every table of the vault as it is now: those, their partitions and children, and all of the product's own schemas.
CREATE OR REPLACE FUNCTION pg_temp.vault_tables()
RETURNS TABLE (object_id oid, schema_name text, table_name text, owner oid, is_shared boolean)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE tree AS (
        SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'f')
          AND (n.nspname IN ('lock_catalog', 'lock_engine', 'lock_log', 'lock_admin')
               OR n.nspname || '.' || c.relname = ANY (pg_temp.shared_tables()))
        UNION
        SELECT i.inhrelid FROM tree AS t JOIN pg_inherits AS i ON i.inhparent = t.oid
    )
    SELECT c.oid, n.nspname::text, c.relname::text, c.relowner,
           n.nspname NOT IN ('lock_catalog', 'lock_engine', 'lock_log', 'lock_admin')
    FROM tree AS t JOIN pg_class AS c ON c.oid = t.oid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f')
$$;

-- Functions of PostgreSQL's own that do something wherever an expression names them: read a file, end a session, run a text as a
-- statement. In a check or a default that somebody else wrote they would do it with the rights of whoever writes a row. What
-- depends on its arguments alone is harmless, and so are clocks, sequences and the like, which tables have for good reasons.
CREATE OR REPLACE FUNCTION pg_temp.acting_function(p_expression text)
RETURNS text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.oid::regprocedure::text
    FROM regexp_matches(p_expression, ':(?:func|opfunc)id ([0-9]+)', 'g') AS m (words)
    JOIN pg_proc AS p ON p.oid = m.words[1]::oid
    WHERE p.oid < 16384 AND p.provolatile <> 'i'
      AND p.proname NOT IN ('now', 'transaction_timestamp', 'statement_timestamp', 'clock_timestamp', 'timeofday', 'random',
                            'gen_random_uuid', 'uuidv4', 'uuidv7', 'nextval', 'current_setting', 'current_database', 'inet_client_addr',
                            'pg_backend_pid', 'txid_current', 'pg_current_xact_id', 'timezone', 'date_trunc', 'date_part', 'extract',
                            'age', 'to_char', 'to_timestamp', 'to_date', 'format', 'concat', 'concat_ws', 'timestamptz', 'timestamp',
                            'date', 'time', 'timetz', 'text', 'to_json', 'to_jsonb', 'json_build_object', 'jsonb_build_object')
      AND NOT EXISTS (SELECT 1 FROM pg_operator AS o WHERE o.oprcode = p.oid)
    ORDER BY 1 LIMIT 1
$$;

-- What of a table is an expression, a type or a routine that somebody else made, so that his code runs when the table is
-- written to, or already when a query on it is planned. p_all: also triggers, rules and policies that call only what may be
-- trusted, as whoever owned the table chose what they do. p_strict: whoever made it, unless it is compiled, which only a
-- superuser can bring; for tables that stay the site's. Either way also what acts by itself (pg_temp.acting_function).
CREATE OR REPLACE FUNCTION pg_temp.parts_of_others(p_table oid, p_all boolean, p_strict boolean DEFAULT false)
RETURNS TABLE (kind text, column_name text, object_id oid, part text)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE above AS (
        SELECT i.inhparent AS oid FROM pg_inherits AS i WHERE i.inhrelid = p_table
        UNION
        SELECT i.inhparent FROM above AS u JOIN pg_inherits AS i ON i.inhrelid = u.oid
    ), parts (kind, column_name, catalog, object_id, part, expression) AS (
        SELECT 'column', NULL::text, 'pg_class'::regclass::oid, p_table, 'the type of a column or its partition key', NULL::text
        UNION ALL
        SELECT 'column', NULL, 'pg_class'::regclass, u.oid, format('the partition key of %s', u.oid::regclass), NULL
        FROM above AS u JOIN pg_class AS c ON c.oid = u.oid AND c.relkind = 'p'
        UNION ALL
        -- the contract's default is a function of the site's; every INSERT of the product gives the column, so it never runs
        SELECT CASE a.attgenerated WHEN '' THEN 'default' ELSE 'generated' END, a.attname::text, 'pg_attrdef'::regclass, f.oid,
               format(CASE a.attgenerated WHEN '' THEN 'the default of %I' ELSE 'the generated column %I' END, a.attname), f.adbin::text
        FROM pg_attrdef AS f JOIN pg_attribute AS a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
        WHERE f.adrelid = p_table AND (a.attname <> 'load_date' OR a.attgenerated <> '')
        UNION ALL
        SELECT 'constraint', NULL, 'pg_constraint'::regclass, k.oid, format('the constraint %I', k.conname), k.conbin::text
        FROM pg_constraint AS k WHERE k.conrelid = p_table AND k.contype IN ('c', 'x')
        UNION ALL
        SELECT 'index', NULL, 'pg_class'::regclass, i.indexrelid, format('the index %I', c.relname), NULL
        FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid WHERE i.indrelid = p_table
        UNION ALL
        SELECT 'statistics', NULL, 'pg_statistic_ext'::regclass, s.oid, format('the statistics %I', s.stxname), NULL
        FROM pg_statistic_ext AS s WHERE s.stxrelid = p_table
        UNION ALL
        SELECT 'policy', NULL, 'pg_policy'::regclass, p.oid, format('the policy %I', p.polname), NULL
        FROM pg_policy AS p WHERE p.polrelid = p_table
        UNION ALL
        SELECT 'rule', NULL, 'pg_rewrite'::regclass, w.oid, format('the rule %I', w.rulename), NULL
        FROM pg_rewrite AS w WHERE w.ev_class = p_table AND w.rulename <> '_RETURN'
        UNION ALL
        SELECT 'trigger', NULL, 'pg_trigger'::regclass, t.oid, format('the trigger %I', t.tgname), NULL
        FROM pg_trigger AS t WHERE t.tgrelid = p_table AND NOT t.tgisinternal
    )
    SELECT p.kind, p.column_name, p.object_id,
           p.part || coalesce(format(' (%s of "%s")', d.described, d.owner), format(' (%s, which acts)', a.acting), '')
    FROM parts AS p
    CROSS JOIN LATERAL (SELECT CASE WHEN p_all OR p_strict THEN pg_temp.acting_function(p.expression) END AS acting) AS a
    LEFT JOIN LATERAL (
        SELECT pg_describe_object(d.refclassid, d.refobjid, 0) AS described, pg_get_userbyid(o.owner) AS owner
        FROM pg_depend AS d
        CROSS JOIN LATERAL (
            SELECT f.proowner AS owner, f.prolang AS language, NULL::"char" AS type,
                   -- what came with a range type calls the type's canonical function
                   EXISTS (SELECT 1 FROM pg_depend AS w
                           WHERE w.classid = d.refclassid AND w.objid = f.oid AND w.refclassid = 'pg_type'::regclass
                             AND w.deptype = 'i') AS of_type
            FROM pg_proc AS f
            WHERE d.refclassid = 'pg_proc'::regclass AND f.oid = d.refobjid
            UNION ALL
            SELECT f.oprowner, (SELECT c.prolang FROM pg_proc AS c WHERE c.oid = f.oprcode), NULL, false FROM pg_operator AS f
            WHERE d.refclassid = 'pg_operator'::regclass AND f.oid = d.refobjid
            UNION ALL
            SELECT f.typowner, NULL, coalesce(e.typtype, f.typtype), false FROM pg_type AS f LEFT JOIN pg_type AS e ON e.oid = f.typelem
            WHERE d.refclassid = 'pg_type'::regclass AND f.oid = d.refobjid
            UNION ALL
            SELECT f.opcowner, NULL, NULL, false FROM pg_opclass AS f
            WHERE d.refclassid = 'pg_opclass'::regclass AND f.oid = d.refobjid) AS o
        WHERE d.classid = p.catalog AND d.objid = p.object_id
          AND d.refobjid >= 16384  -- what initdb made is below
          AND CASE WHEN NOT p_strict THEN NOT pg_temp.is_trusted(o.owner)
                   WHEN o.type IS NOT NULL THEN o.type NOT IN ('b', 'e')
                   ELSE o.language NOT IN (SELECT l.oid FROM pg_language AS l WHERE l.lanname IN ('internal', 'c')) OR o.of_type END
        ORDER BY 1 LIMIT 1
    ) AS d ON true
    WHERE d.described IS NOT NULL OR a.acting IS NOT NULL OR (p_all AND p.kind IN ('policy', 'rule', 'trigger'))
$$;
