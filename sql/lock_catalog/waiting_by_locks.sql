-- The monitor's quiet look, cheapest with many connections that hold few locks (see waiting_by_activity).
CREATE OR REPLACE VIEW lock_catalog.waiting_by_locks AS
SELECT EXISTS (SELECT FROM pg_catalog.pg_lock_status() l WHERE NOT l.granted) AS anyone_waiting;
COMMENT ON VIEW lock_catalog.waiting_by_locks IS
  'One row: is any heavyweight lock wanted and not granted, as the lock table shows it. For the loop''s quiet tick.';
