-- lock_catalog.monitor_locks: who holds the monitor's own advisory locks (460, number) in this database now.
CREATE OR REPLACE VIEW lock_catalog.monitor_locks AS
SELECT l.objid AS number, l.pid
  FROM lock_catalog.locks l
 WHERE l.lock_type = 'advisory' AND l.granted AND l.classid = 460 AND l.objsubid = 2
   AND l.database_oid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database());

COMMENT ON VIEW lock_catalog.monitor_locks IS
  'Holders of the monitor''s advisory locks (460, number): 1 the cycle, 3 the leading loop, 4 the standby, 8 a cleanup.';
