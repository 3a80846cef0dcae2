-- A One Vault site before Phase 4, with the habits of real ones.
CREATE SCHEMA util;
CREATE SCHEMA auth;
CREATE SCHEMA audit;
CREATE SCHEMA monitoring;
CREATE SCHEMA app;

-- Real sites have pgcrypto in public and call it unqualified, so this fails under a pinned search_path.
CREATE FUNCTION public.digest(input text, algorithm text) RETURNS bytea LANGUAGE sql IMMUTABLE
AS $$ SELECT sha256(convert_to(input, 'UTF8')) $$;
CREATE FUNCTION util.hash_binary(input text) RETURNS bytea LANGUAGE plpgsql IMMUTABLE
AS $$ BEGIN RETURN digest(input, 'sha256'); END $$;
CREATE FUNCTION util.current_load_date() RETURNS timestamp with time zone LANGUAGE sql STABLE
AS $$ SELECT CURRENT_TIMESTAMP $$;
CREATE FUNCTION util.get_record_source() RETURNS character varying LANGUAGE sql STABLE
AS $$ SELECT 'WEB_APPLICATION'::character varying $$;

CREATE TABLE auth.tenant_h (
    tenant_hk bytea PRIMARY KEY,
    tenant_bk character varying(255) NOT NULL,
    load_date timestamp with time zone DEFAULT util.current_load_date(),
    record_source character varying(100) NOT NULL
);
CREATE TABLE auth.user_h (
    user_hk bytea PRIMARY KEY,
    user_bk character varying(255) NOT NULL,
    tenant_hk bytea NOT NULL REFERENCES auth.tenant_h (tenant_hk),
    load_date timestamp with time zone DEFAULT util.current_load_date(),
    record_source character varying(100) NOT NULL
);
CREATE TABLE auth.user_profile_s (
    user_hk bytea NOT NULL REFERENCES auth.user_h (user_hk),
    load_date timestamp with time zone NOT NULL DEFAULT util.current_load_date(),
    load_end_date timestamp with time zone,
    hash_diff bytea NOT NULL,
    first_name character varying(100),
    last_name character varying(100),
    email character varying(255) NOT NULL,
    phone character varying(50),
    job_title character varying(100),
    department character varying(100),
    is_active boolean DEFAULT true,
    created_date timestamp with time zone DEFAULT util.current_load_date(),
    last_updated_date timestamp with time zone DEFAULT util.current_load_date(),
    record_source character varying(100) NOT NULL,
    PRIMARY KEY (user_hk, load_date)
);

-- The audit trigger's key holds the load date alone, which stands still inside a transaction: a second row fails.
CREATE TABLE audit.audit_event_h (audit_event_hk bytea PRIMARY KEY, table_name text NOT NULL);
CREATE FUNCTION audit.record_change() RETURNS trigger LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO audit.audit_event_h (audit_event_hk, table_name)
    VALUES (util.hash_binary('AUDIT_' || TG_TABLE_NAME || util.current_load_date()::text), TG_TABLE_NAME);
    RETURN NEW;
END
$$;
INSERT INTO auth.tenant_h (tenant_hk, tenant_bk, record_source)
VALUES (util.hash_binary('ACME'), 'ACME', 'SITE'), (util.hash_binary('ACME_2'), 'ACME', 'SITE');
INSERT INTO auth.user_h (user_hk, user_bk, tenant_hk, record_source)
VALUES (util.hash_binary('ann'), 'ann', util.hash_binary('ACME'), 'SITE'),
       (util.hash_binary('ann_2'), 'ann', util.hash_binary('ACME_2'), 'SITE');
CREATE TRIGGER audit_tenant_h AFTER INSERT OR UPDATE ON auth.tenant_h
    FOR EACH ROW EXECUTE FUNCTION audit.record_change();
CREATE TRIGGER audit_user_h AFTER INSERT OR UPDATE ON auth.user_h
    FOR EACH ROW EXECUTE FUNCTION audit.record_change();

-- The site's own monitoring (Phase 2), which is none of ours.
CREATE TABLE monitoring.alert_definition_h (
    alert_definition_hk bytea PRIMARY KEY,
    alert_definition_bk character varying(255) NOT NULL,
    tenant_hk bytea REFERENCES auth.tenant_h (tenant_hk),
    load_date timestamp with time zone DEFAULT util.current_load_date(),
    record_source character varying(100) NOT NULL DEFAULT 'ALERTING_SYSTEM'
);
CREATE FUNCTION monitoring.system_health() RETURNS text LANGUAGE sql AS $$ SELECT 'fine'::text $$;

CREATE TABLE app.account (account_id integer PRIMARY KEY, balance numeric NOT NULL);

-- Writes a notice for every DDL.
CREATE FUNCTION util.note_ddl() RETURNS event_trigger LANGUAGE plpgsql
AS $$ BEGIN RAISE NOTICE 'DDL executed: %', tg_tag; END $$;
CREATE EVENT TRIGGER note_ddl ON ddl_command_end EXECUTE FUNCTION util.note_ddl();
