-- An armed policy of an earlier release that an update would let act at other times is a dry run from then on, and says why.
-- Release candidate 1 took a window without a zone for the session's TimeZone; now it is the server's log_timezone.
DO $changed$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_proc AS p
                  WHERE p.oid = to_regprocedure('lock_admin.in_window(jsonb, timestamp with time zone)')
                    AND p.prosrc LIKE '%current_setting(''TimeZone'')%') THEN
    RETURN;
  END IF;
  WITH changed AS (
    UPDATE lock_admin.policy_mode_s AS m SET load_end_date = greatest(clock_timestamp(), m.load_date + interval '1 microsecond')
      FROM lock_admin.policy_s AS r
     WHERE m.load_end_date IS NULL AND m.mode = 'armed' AND r.policy_hk = m.policy_hk AND r.load_end_date IS NULL
       AND EXISTS (SELECT 1 FROM jsonb_array_elements(r.time_windows || r.pause_windows) AS w(entry)
                    WHERE w.entry ->> 'zone' IS NULL)
    RETURNING m.policy_hk, m.version, m.load_end_date)
  INSERT INTO lock_admin.policy_mode_s (policy_hk, load_date, mode, version, reason, changed_by)
  SELECT c.policy_hk, c.load_end_date, 'dry_run', c.version,
         format('Updated: a window without a zone now means the server''s log_timezone (%s), no longer the session''s TimeZone. '
                'Name its zone, or see that this is what you mean, and arm the policy again.', current_setting('log_timezone')),
         'update'
    FROM changed AS c;
END
$changed$;
