CREATE OR REPLACE VIEW lock_monitoring.deadlock_ledger AS
SELECT l.ledger_id, l.database_name, l.window_start, l.window_end, l.counted, l.captured, l.by_sampling, l.by_log, l.missed,
       l.counted - l.captured - l.missed AS not_yet_settled
  FROM lock_engine.deadlock_ledger l;
COMMENT ON VIEW lock_monitoring.deadlock_ledger IS
  'Each rise of PostgreSQL''s deadlock counter between two moments: counted, captured (by sampling, by log: one may be both), missed.';
