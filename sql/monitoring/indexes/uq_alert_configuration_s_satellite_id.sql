CREATE UNIQUE INDEX IF NOT EXISTS uq_alert_configuration_s_satellite_id
    ON monitoring.alert_configuration_s (satellite_id);
