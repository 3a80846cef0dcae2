-- An alert that asks for a severity asks for something else now. There is no dry run of an alert: it goes on as it is, and its next version says why it may
-- fire less or more often.
DO $changed$
BEGIN
  IF current_setting('one_vault.earlier_severity') = 'no' THEN
    RETURN;
  END IF;
  INSERT INTO monitoring.alert_configuration_s (
    alert_config_hk, load_date, load_end_date, hash_diff, alert_name, alert_category, alert_query, warning_threshold, critical_threshold,
    alert_severity, is_active, notification_recipients, description, record_source, changed_by, change_note)
  SELECT s.alert_config_hk, pg_catalog.clock_timestamp(), NULL, s.hash_diff, s.alert_name, s.alert_category, s.alert_query,
         s.warning_threshold, s.critical_threshold, s.alert_severity, s.is_active, s.notification_recipients, s.description, s.record_source,
         'update',
         'one or two waiters, and a blocker that waits itself, are not CRITICAL any more; ten and more are MEDIUM at once (docs/severity.md)'
    FROM monitoring.alert_configuration_s AS s
   WHERE s.load_end_date IS NULL AND s.alert_query ~* '(blocking_severity|urgency_level|escalation_level|root_blockers|critical_blockers)';
END
$changed$;
