-- After claimed_names.sql: whoever's right to arm it is in doubt hears of that.
-- Before kinds followed from what a session does, a policy met others: DDL behind a comment not, a commit that waited for its standby, a client that did
-- not read, or an index built CONCURRENTLY as if they ran a query; and it cancelled first where cancelling does nothing.
DO $changed$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_proc AS p
                  WHERE p.pronamespace = to_regnamespace('lock_admin') AND p.proname = 'policy_spares' AND p.prosrc NOT LIKE '%is_automatic_kind%') THEN
    RETURN;
  END IF;
  WITH changed AS (
    UPDATE lock_admin.policy_mode_s AS m SET load_end_date = greatest(clock_timestamp(), m.load_date + interval '1 microsecond')
      FROM lock_admin.policy_s AS r
     WHERE m.load_end_date IS NULL AND m.mode = 'armed' AND r.policy_hk = m.policy_hk AND r.load_end_date IS NULL
       AND (r.kinds <> '{}' OR r.action = 'cancel_then_terminate')
    RETURNING m.policy_hk, m.version, m.load_end_date)
  INSERT INTO lock_admin.policy_mode_s (policy_hk, load_date, mode, version, reason, changed_by)
  SELECT c.policy_hk, c.load_end_date, 'dry_run', c.version,
         'Updated: kinds of blockers now follow from what a session does (docs/kinds.md), so this policy would stop others than before, or terminate where it '
         'cancelled. See its back-test, and arm it again.',
         'update'
    FROM changed AS c;
END
$changed$;
