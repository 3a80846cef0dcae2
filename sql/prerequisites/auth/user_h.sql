-- Stand-in: created only where the platform has none.
DO $stand_in$
BEGIN
    IF to_regclass('auth.user_h') IS NULL THEN
        CREATE TABLE auth.user_h (
            user_hk       bytea PRIMARY KEY,
            user_bk       character varying(255) NOT NULL,
            tenant_hk     bytea NOT NULL REFERENCES auth.tenant_h (tenant_hk),
            load_date     timestamp with time zone DEFAULT util.current_load_date(),
            record_source character varying(100) NOT NULL
        );
        COMMENT ON TABLE auth.user_h IS
            'Stand-in by One Vault lock monitor for the platform''s users.';
    END IF;
END
$stand_in$;
