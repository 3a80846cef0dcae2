-- An armed policy whose least severity is CRITICAL stops fewer from now on (one or two waiters are never CRITICAL), one with MEDIUM may
-- stop a crowd of less than two seconds: somebody looks first. HIGH, the default, means the same as before.
DO $changed$
BEGIN
  IF current_setting('one_vault.earlier_severity') = 'no' THEN
    RETURN;
  END IF;
  WITH changed AS (
    UPDATE lock_admin.policy_mode_s AS m SET load_end_date = greatest(clock_timestamp(), m.load_date + interval '1 microsecond')
      FROM lock_admin.policy_s AS r
     WHERE m.load_end_date IS NULL AND m.mode = 'armed' AND r.policy_hk = m.policy_hk AND r.load_end_date IS NULL
       AND (r.min_severity = 'CRITICAL' OR (r.min_severity = 'MEDIUM' AND r.min_blocked_seconds < 2))
    RETURNING m.policy_hk, m.version, m.load_end_date, r.min_severity)
  INSERT INTO lock_admin.policy_mode_s (policy_hk, load_date, mode, version, reason, changed_by)
  SELECT c.policy_hk, c.load_end_date, 'dry_run', c.version,
         'Updated: the severities changed (docs/severity.md), so this policy would stop '
           || CASE c.min_severity WHEN 'CRITICAL' THEN 'fewer than before: a blocker with one or two sessions behind it is not CRITICAL any more'
                                  ELSE 'more than before: ten or more sessions behind a blocker are MEDIUM at once' END
           || '. See its back-test, and arm it again.',
         'update'
    FROM changed AS c;
END
$changed$;
