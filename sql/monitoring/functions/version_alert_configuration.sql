CREATE OR REPLACE FUNCTION monitoring.version_alert_configuration()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_latest timestamp with time zone;
    v_previous record;
    v_recipient text;
BEGIN
    IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
    NEW.load_date := coalesce(NEW.load_date, clock_timestamp());

    -- A URL carries its secret with it; tables, pages and dumps are no place for that.
    FOREACH v_recipient IN ARRAY coalesce(NEW.notification_recipients, '{}') || coalesce(NEW.escalation_recipients, '{}') LOOP
        IF v_recipient IS NULL OR v_recipient !~ '^(channel:[A-Za-z0-9_-]{1,50}|[^@[:space:]:/,]+@[^@[:space:]:/,]+)$' THEN
            RAISE EXCEPTION 'A recipient is an e-mail address or channel:name. URLs are kept in the environment as LOCKMON_CHANNEL_<NAME>, never in a table.'
                USING ERRCODE = 'check_violation';
        END IF;
    END LOOP;

    INSERT INTO monitoring.alert_configuration_h
        (alert_config_hk, alert_config_bk, tenant_hk, load_date, record_source)
    VALUES (NEW.alert_config_hk, NEW.alert_name, NULL, NEW.load_date, NEW.record_source)
    ON CONFLICT (alert_config_hk) DO NOTHING;

    -- A version that is inserted closed is history being brought along; it changes nothing that is in force.
    IF NEW.load_end_date IS NOT NULL THEN
        RETURN NEW;
    END IF;

    -- Two editors at once follow each other here, so that the second sees and closes the first one's version.
    PERFORM 1 FROM monitoring.alert_configuration_h AS h
    WHERE h.alert_config_hk = NEW.alert_config_hk
    FOR UPDATE;

    SELECT max(s.load_date) INTO v_latest
    FROM monitoring.alert_configuration_s AS s
    WHERE s.alert_config_hk = NEW.alert_config_hk;
    -- util.current_load_date() stands still inside a transaction: two versions in one would share their key.
    IF v_latest >= NEW.load_date THEN
        NEW.load_date := greatest(clock_timestamp(), v_latest + interval '1 microsecond');
    END IF;

    -- What the guide's 14 values do not say stays as it was, or as it is by default.
    SELECT s.for_at_least_seconds, s.clear_after_seconds, s.repeat_minutes, s.escalate_minutes, s.escalation_recipients
    INTO v_previous
    FROM monitoring.alert_configuration_s AS s
    WHERE s.alert_config_hk = NEW.alert_config_hk
    ORDER BY s.load_date DESC
    LIMIT 1;
    NEW.for_at_least_seconds := coalesce(NEW.for_at_least_seconds, v_previous.for_at_least_seconds, 0);
    NEW.clear_after_seconds := coalesce(NEW.clear_after_seconds, v_previous.clear_after_seconds, 30);
    NEW.repeat_minutes := coalesce(NEW.repeat_minutes, v_previous.repeat_minutes, 60);
    NEW.escalate_minutes := coalesce(NEW.escalate_minutes, v_previous.escalate_minutes, 15);
    NEW.escalation_recipients := coalesce(NEW.escalation_recipients, v_previous.escalation_recipients, '{}');
    NEW.changed_by := coalesce(NEW.changed_by, session_user);

    UPDATE monitoring.alert_configuration_s AS s
    SET load_end_date = NEW.load_date
    WHERE s.alert_config_hk = NEW.alert_config_hk AND s.load_end_date IS NULL;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION monitoring.version_alert_configuration() IS
    'Trigger of monitoring.alert_configuration_s: makes the hub row and closes the previous version.';

DO $trigger$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_trigger AS t
                   WHERE t.tgrelid = 'monitoring.alert_configuration_s'::regclass
                     AND t.tgname = 'version_alert_configuration') THEN
        CREATE TRIGGER version_alert_configuration
            BEFORE INSERT ON monitoring.alert_configuration_s
            FOR EACH ROW EXECUTE FUNCTION monitoring.version_alert_configuration();
    END IF;
END
$trigger$;
