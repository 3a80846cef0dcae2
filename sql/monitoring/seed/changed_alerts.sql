-- An installed alert whose question was wrong, and which nobody has changed, asks the right one in its next version, which says so. There
-- is no dry run of an alert: it goes on, and its thresholds stay.
DO $changed$
BEGIN
  INSERT INTO monitoring.alert_configuration_s (
    alert_config_hk, load_date, load_end_date, hash_diff, alert_name, alert_category, alert_query, warning_threshold, critical_threshold,
    alert_severity, is_active, notification_recipients, description, record_source, changed_by, change_note)
  SELECT s.alert_config_hk, pg_catalog.clock_timestamp(), NULL,
         pg_catalog.sha256(pg_catalog.convert_to('SELECT percent FROM lock_catalog.lock_table_use', 'UTF8')), s.alert_name, s.alert_category,
         'SELECT percent FROM lock_catalog.lock_table_use', s.warning_threshold, s.critical_threshold, s.alert_severity, s.is_active,
         s.notification_recipients,
         'Percent of the lock table that PostgreSQL guarantees. Above 100 statements may fail with "out of shared memory", often only at 160 or more. '
         'Raise max_locks_per_transaction, or touch fewer tables in a transaction.',
         s.record_source, 'update', 'it counted holders, not the places that they take: ten readers of 300 partitions were 91 percent'
    FROM monitoring.alert_configuration_s AS s
   WHERE s.load_end_date IS NULL
     AND s.alert_query = $q$SELECT round(100.0 * count(*) / (current_setting('max_locks_per_transaction')::numeric * (current_setting('max_connections')::numeric + current_setting('max_prepared_transactions')::numeric)), 1) FROM lock_catalog.locks WHERE NOT fastpath$q$;
END
$changed$;
