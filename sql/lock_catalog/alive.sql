CREATE OR REPLACE VIEW lock_catalog.alive AS
SELECT a.pid, a.backend_start FROM pg_catalog.pg_stat_get_activity(NULL) a;
COMMENT ON VIEW lock_catalog.alive IS
  'Sessions that exist now: pid and backend_start, no more, so that asking is cheap. backend_start needs pg_read_all_stats.';
