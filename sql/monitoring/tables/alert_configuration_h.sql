CREATE TABLE IF NOT EXISTS monitoring.alert_configuration_h (
    alert_config_hk bytea PRIMARY KEY,
    alert_config_bk character varying(255) NOT NULL,
    tenant_hk       bytea,
    load_date       timestamp with time zone DEFAULT util.current_load_date(),
    record_source   character varying(100) NOT NULL
);

COMMENT ON TABLE monitoring.alert_configuration_h IS
    'Hub: one alert. Inserting into monitoring.alert_configuration_s creates it.';
