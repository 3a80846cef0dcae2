-- How full the shared lock table is, of what PostgreSQL guarantees. It has a place for each distinct object that somebody holds or wants
-- (but not on the fast path), max_locks_per_transaction for each process there may be and each prepared transaction, and twice as many for
-- who holds or wants which (src/backend/storage/lmgr/lock.c: NLOCKENTS; MaxBackends in postinit.c). What is reserved beyond lets a real
-- server go on for a while above 100 %. Predicate locks (SIReadLock) have a table of their own.
CREATE OR REPLACE VIEW lock_catalog.lock_table_use AS
SELECT u.objects, u.object_places, u.holders, 2 * u.object_places AS holder_places,
       round(100.0 * greatest(u.objects::numeric / u.object_places, u.holders::numeric / (2 * u.object_places)), 1) AS percent
  FROM (SELECT count(DISTINCT l.object_hash) AS objects,
               count(DISTINCT ROW(l.object_hash, l.virtualtransaction, l.pid)) AS holders,
               min(p.places) AS object_places
          FROM (SELECT current_setting('max_locks_per_transaction')::bigint
                       * (current_setting('max_connections')::bigint
                          -- 18 reserves room for more of them than may run
                          + coalesce(current_setting('autovacuum_worker_slots', true), current_setting('autovacuum_max_workers'))::bigint + 1
                          + current_setting('max_worker_processes')::bigint + current_setting('max_wal_senders')::bigint
                          + current_setting('max_prepared_transactions')::bigint) AS places) p
          LEFT JOIN lock_catalog.locks l ON NOT l.fastpath AND l.lock_mode <> 'SIReadLock') u;
COMMENT ON VIEW lock_catalog.lock_table_use IS
  'Use of the shared lock table: objects of object_places, holders of holder_places; percent: the fuller of the two. Below 100 nothing fails for want of room; above, statements may '
  'fail with "out of shared memory" at any time, often only at 160 or more.';
