-- The monitor's quiet look, cheapest with up to some hundred connections (the loop measures which of the two is
-- cheaper here). A view, not a function, because it is run every second: a prepared statement over it costs what
-- the raw read costs. Waits of every database count; the reader itself cannot be waiting while it reads.
CREATE OR REPLACE VIEW lock_catalog.waiting_by_activity AS
SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_get_activity(NULL::integer) a WHERE a.wait_event_type = 'Lock')
       AS anyone_waiting;
COMMENT ON VIEW lock_catalog.waiting_by_activity IS
  'One row: does any session wait for a heavyweight lock, as session activity shows it. For the loop''s quiet tick.';
