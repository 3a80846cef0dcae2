-- Beside lock_engine.watch_state, not in it: a cleanup writes it, and a cleanup's transaction may be kept open for as long as
-- somebody likes, while every look writes the other row.
CREATE TABLE IF NOT EXISTS lock_engine.watch_forgotten (
  watch_forgotten_id smallint PRIMARY KEY DEFAULT 1,
  forgotten_until timestamptz NOT NULL,
  CONSTRAINT watch_forgotten_single CHECK (watch_forgotten_id = 1)
);
COMMENT ON TABLE lock_engine.watch_forgotten IS
  'One row, once coverage has been deleted: gaps that ended before are gone, so what is older is not known any more.';
GRANT SELECT, INSERT, UPDATE ON lock_engine.watch_forgotten TO lock_vault_owner;
GRANT SELECT ON lock_engine.watch_forgotten TO lock_monitoring_role, lock_door_owner;

-- it was a column of the other for a while
DO $move$
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_attribute a
              WHERE a.attrelid = 'lock_engine.watch_state'::regclass AND a.attname = 'forgotten_until' AND NOT a.attisdropped) THEN
    INSERT INTO lock_engine.watch_forgotten (forgotten_until)
    SELECT w.forgotten_until FROM lock_engine.watch_state w WHERE w.forgotten_until IS NOT NULL
    ON CONFLICT DO NOTHING;
    ALTER TABLE lock_engine.watch_state DROP COLUMN forgotten_until;
  END IF;
END
$move$;
