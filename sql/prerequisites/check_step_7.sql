DO $check_step_7$
BEGIN
    IF to_regclass('lock_engine.installation') IS NULL THEN
        RAISE EXCEPTION 'The tables are not there yet: run step_7_lock_monitoring.sql first. Nothing was changed.';
    END IF;
END
$check_step_7$;
