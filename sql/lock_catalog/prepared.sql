-- lock_catalog.prepared: prepared transactions, with readable names.
CREATE OR REPLACE VIEW lock_catalog.prepared AS
SELECT x.transaction::text::bigint AS transaction,
       lock_catalog.readable(x.gid) AS gid,
       x.prepared,
       lock_catalog.readable(x.owner::text) AS owner,
       lock_catalog.readable(x.database::text) AS database
  FROM pg_catalog.pg_prepared_xacts x;
COMMENT ON VIEW lock_catalog.prepared IS
  'Transactions prepared for two-phase commit now (pg_prepared_xacts with readable names). They hold locks without a session.';
