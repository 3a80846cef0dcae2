-- What an alert's query may read: dashboards, the monitor's own state, locks and sessions by way of lock_catalog, and
-- the published history. Not the platform's tables, not recipients, not settings' history, not a table of the site.
GRANT SELECT ON ALL TABLES IN SCHEMA lock_monitoring, lock_catalog TO lock_alert_sandbox;
GRANT SELECT ON lock_engine.monitor_status, lock_engine.heartbeat, lock_engine.coverage, lock_engine.coverage_gap, lock_engine.watch_state, lock_engine.watch_forgotten,
    monitoring.alert_overview, monitoring.alert_event_list, monitoring.convoy_forecast
    TO lock_alert_sandbox;
-- The forecast reads the graph with its owner's rights.
GRANT USAGE ON SCHEMA monitoring TO lock_vault_owner;
