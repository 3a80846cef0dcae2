CREATE OR REPLACE FUNCTION lock_admin.record_setting_change()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_fault text;
BEGIN
    IF current_user <> 'lock_door_owner' THEN PERFORM lock_engine.require_owner('lock_door_owner'); END IF;
    IF TG_WHEN = 'BEFORE' THEN
        v_fault := lock_admin.setting_fault(NEW.name, NEW.value);
        IF v_fault IS NOT NULL THEN
            RAISE EXCEPTION 'The setting % %; % is not that, and nothing was changed.', NEW.name, v_fault, left(NEW.value::text, 100)
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
        -- Whoever edits the row cannot sign it with another name or time.
        NEW.changed_at := clock_timestamp();
        NEW.changed_by := session_user;
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' THEN
        INSERT INTO lock_admin.setting_history (name, old_value, new_value, changed_at, changed_by)
        VALUES (NEW.name, NULL, NEW.value, NEW.changed_at, NEW.changed_by);
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO lock_admin.setting_history (name, old_value, new_value, changed_at, changed_by)
        VALUES (OLD.name, OLD.value, NULL, clock_timestamp(), session_user);
    ELSIF NEW.value IS DISTINCT FROM OLD.value THEN
        INSERT INTO lock_admin.setting_history (name, old_value, new_value, changed_at, changed_by)
        VALUES (NEW.name, OLD.value, NEW.value, NEW.changed_at, NEW.changed_by);
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION lock_admin.record_setting_change() IS
    'Trigger of lock_admin.setting: refuses a value that nothing could use, signs a change and keeps what was there before.';

-- The first rows come before the grants; it works as its owner only.
GRANT USAGE ON SCHEMA lock_admin, lock_engine TO lock_door_owner;
GRANT INSERT ON lock_admin.setting_history TO lock_door_owner;
ALTER FUNCTION lock_admin.record_setting_change() OWNER TO lock_door_owner;

DO $triggers$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_trigger AS t
                   WHERE t.tgrelid = 'lock_admin.setting'::regclass AND t.tgname = 'sign_setting_change') THEN
        CREATE TRIGGER sign_setting_change
            BEFORE INSERT OR UPDATE ON lock_admin.setting
            FOR EACH ROW EXECUTE FUNCTION lock_admin.record_setting_change();
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_trigger AS t
                   WHERE t.tgrelid = 'lock_admin.setting'::regclass AND t.tgname = 'record_setting_change') THEN
        CREATE TRIGGER record_setting_change
            AFTER INSERT OR UPDATE OR DELETE ON lock_admin.setting
            FOR EACH ROW EXECUTE FUNCTION lock_admin.record_setting_change();
    END IF;
END
$triggers$;
