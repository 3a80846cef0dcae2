-- lock_catalog.locks: one row per lock held or wanted, from pg_lock_status(), with hashes and the conflict rules.
-- Versions: waitstart exists from PostgreSQL 14 on; on 13 wait_start is NULL.
-- The hashes are chains, each seeded with the one before it: half the price of hash_record_extended(), which makes a tuple
-- of every row first. What is missing counts as 0 or as an empty text; the lock's type tells the two apart.
-- The conflict rules are PostgreSQL's table "Conflicting Lock Modes" (documentation, chapter Explicit Locking):
-- bit n stands for the n-th mode in the order of that table; a mode conflicts with the modes in conflict_bits.
DO $install$
DECLARE
  v_modern boolean := pg_catalog.current_setting('server_version_num')::integer >= 140000;
  v_object text := 'hashtextextended(l.locktype, hashtextextended(coalesce(l.virtualxid, l.transactionid::text, ''''), '
    || 'hashint8extended((coalesce(l.relation, 0)::bigint << 32) # coalesce(l.database, 0)::bigint, '
    || 'hashint8extended((coalesce(l.page, 0)::bigint << 32) # (coalesce(l.tuple, 0)::bigint << 16) # coalesce(l.objsubid, 0)::bigint, '
    || '(coalesce(l.classid, 0)::bigint << 32) # coalesce(l.objid, 0)::bigint))))';
BEGIN
  EXECUTE pg_catalog.format($view$
    CREATE OR REPLACE VIEW lock_catalog.locks AS
    SELECT l.locktype AS lock_type,
           l.database AS database_oid,
           l.relation AS relation_oid,
           l.page,
           l.tuple::integer AS tuple,
           l.virtualxid,
           l.transactionid::text::bigint AS transactionid,
           l.classid,
           l.objid,
           l.objsubid,
           l.virtualtransaction,
           l.pid,
           l.mode AS lock_mode,
           l.granted,
           l.fastpath,
           %1$s AS wait_start,
           %2$s AS object_hash,
           %3$s AS row_hash,
           CASE l.locktype
             WHEN 'transactionid' THEN 'transactionid:' || l.transactionid::text
             WHEN 'virtualxid' THEN 'virtualxid:' || l.virtualxid
             ELSE concat_ws(':', l.locktype, l.database, l.relation, l.page, l.tuple, l.classid, l.objid, l.objsubid,
                            l.transactionid) END AS object_key,
           CASE l.mode
             WHEN 'AccessShareLock' THEN 2 WHEN 'RowShareLock' THEN 4 WHEN 'RowExclusiveLock' THEN 8
             WHEN 'ShareUpdateExclusiveLock' THEN 16 WHEN 'ShareLock' THEN 32
             WHEN 'ShareRowExclusiveLock' THEN 64 WHEN 'ExclusiveLock' THEN 128
             WHEN 'AccessExclusiveLock' THEN 256 ELSE 0 END AS mode_bit,
           CASE l.mode
             WHEN 'AccessShareLock' THEN 256 WHEN 'RowShareLock' THEN 384 WHEN 'RowExclusiveLock' THEN 480
             WHEN 'ShareUpdateExclusiveLock' THEN 496 WHEN 'ShareLock' THEN 472
             WHEN 'ShareRowExclusiveLock' THEN 504 WHEN 'ExclusiveLock' THEN 508
             WHEN 'AccessExclusiveLock' THEN 510 ELSE 0 END AS conflict_bits
      FROM pg_catalog.pg_lock_status() l
  $view$,
  CASE WHEN v_modern THEN 'l.waitstart' ELSE 'NULL::timestamptz' END,
  v_object,
  'hashtextextended(l.mode, hashtextextended(l.virtualtransaction, hashint8extended('
    || 'coalesce(l.pid, 0)::bigint * 4 + l.granted::integer * 2 + l.fastpath::integer, ' || v_object || ')))'
    || CASE WHEN v_modern THEN ' # coalesce(hashfloat8extended(date_part(''epoch'', l.waitstart), 0), 0)' ELSE '' END);
END
$install$;

COMMENT ON VIEW lock_catalog.locks IS
  'Locks held or wanted now (pg_lock_status). pid NULL belongs to a prepared transaction.';
COMMENT ON COLUMN lock_catalog.locks.wait_start IS
  'When the wait began; NULL before PostgreSQL 14 and for a moment after a wait begins.';
COMMENT ON COLUMN lock_catalog.locks.object_hash IS '64-bit hash of the locked object, equal for locks on the same object.';
COMMENT ON COLUMN lock_catalog.locks.object_key IS
  'The locked object as one text: the part of a lock''s business key that names what is locked.';
COMMENT ON COLUMN lock_catalog.locks.row_hash IS '64-bit hash of the whole row as PostgreSQL shows it.';
COMMENT ON COLUMN lock_catalog.locks.mode_bit IS 'The mode as one bit; 0 for SIReadLock, which never blocks.';
COMMENT ON COLUMN lock_catalog.locks.conflict_bits IS 'The modes (as mode_bit) that this mode conflicts with.';
