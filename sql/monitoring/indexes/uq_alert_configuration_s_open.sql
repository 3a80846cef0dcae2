-- One open version per alert, however many edit it at once.
CREATE UNIQUE INDEX IF NOT EXISTS uq_alert_configuration_s_open
    ON monitoring.alert_configuration_s (alert_config_hk)
    WHERE load_end_date IS NULL;
