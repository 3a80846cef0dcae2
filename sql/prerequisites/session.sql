-- First file of both manifests: how this transaction behaves, whether it may run here, and one installer at a time.
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
              -- the site's triggers on its own tables, and on DDL, find what they name; what is built in comes first
              ('search_path', concat_ws(', ', 'pg_catalog', nullif(current_setting('search_path'), ''), 'pg_temp')),
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
