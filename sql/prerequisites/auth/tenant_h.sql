-- Stand-in: created only where the platform has none.
DO $stand_in$
BEGIN
    IF to_regclass('auth.tenant_h') IS NULL THEN
        CREATE TABLE auth.tenant_h (
            tenant_hk     bytea PRIMARY KEY,
            tenant_bk     character varying(255) NOT NULL,
            load_date     timestamp with time zone DEFAULT util.current_load_date(),
            record_source character varying(100) NOT NULL
        );
        COMMENT ON TABLE auth.tenant_h IS
            'Stand-in by One Vault lock monitor for the platform''s tenants.';
    END IF;
END
$stand_in$;
