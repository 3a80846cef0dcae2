CREATE OR REPLACE FUNCTION lock_admin.action_log_is_append_only()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'The action log only grows: % is refused.', TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;
COMMENT ON FUNCTION lock_admin.action_log_is_append_only() IS 'Trigger: refuses UPDATE, DELETE and TRUNCATE of the action log.';

DO $trigger$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_trigger AS t
                   WHERE t.tgrelid = 'lock_admin.action_log'::regclass AND t.tgname = 'action_log_is_append_only')
    THEN
        CREATE TRIGGER action_log_is_append_only
            BEFORE UPDATE OR DELETE OR TRUNCATE ON lock_admin.action_log
            FOR EACH STATEMENT EXECUTE FUNCTION lock_admin.action_log_is_append_only();
        -- ALWAYS: also under session_replication_role = replica.
        ALTER TABLE lock_admin.action_log ENABLE ALWAYS TRIGGER action_log_is_append_only;
    END IF;
END
$trigger$;
