-- Stand-in: created only where the platform has none.
DO $stand_in$
BEGIN
    IF to_regclass('auth.user_profile_s') IS NULL THEN
        CREATE TABLE auth.user_profile_s (
            user_hk           bytea NOT NULL REFERENCES auth.user_h (user_hk),
            load_date         timestamp with time zone NOT NULL DEFAULT util.current_load_date(),
            load_end_date     timestamp with time zone,
            hash_diff         bytea NOT NULL,
            first_name        character varying(100),
            last_name         character varying(100),
            email             character varying(255) NOT NULL,
            phone             character varying(50),
            job_title         character varying(100),
            department        character varying(100),
            is_active         boolean DEFAULT true,
            created_date      timestamp with time zone DEFAULT util.current_load_date(),
            last_updated_date timestamp with time zone DEFAULT util.current_load_date(),
            record_source     character varying(100) NOT NULL,
            PRIMARY KEY (user_hk, load_date)
        );
        COMMENT ON TABLE auth.user_profile_s IS
            'Stand-in by One Vault lock monitor for the platform''s user profiles.';
    END IF;
END
$stand_in$;
