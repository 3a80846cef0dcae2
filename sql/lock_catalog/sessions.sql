-- lock_catalog.sessions: one row per server process, from pg_stat_activity, with names resolved and texts made readable:
-- a session of another database shows the bytes of that database's encoding.
-- Versions: query_id exists from PostgreSQL 14 on; before that it is NULL.
DO $install$
DECLARE
  -- Nearly always all of them are valid, and next often hold nothing that could be taken for a byte of ours: no call for them.
  v_readable text := E'CASE WHEN a.all_plain THEN a.%1$s WHEN a.all_valid AND strpos(a.%1$s, E\'\\\\x\') = 0 '
    'THEN a.%1$s ELSE lock_catalog.readable(a.%1$s) END';
BEGIN
  EXECUTE pg_catalog.format($view$
    CREATE OR REPLACE VIEW lock_catalog.sessions AS
    WITH texts AS MATERIALIZED (SELECT r.valid, r.plain FROM lock_catalog.all_readable() r)
    SELECT a.pid,
           a.leader_pid,
           a.backend_start,
           a.xact_start,
           a.query_start,
           a.state_change,
           a.usesysid AS user_oid,
           %2$s AS user_name,
           r.rolsuper AS is_superuser,
           a.datid AS database_oid,
           %3$s AS database_name,
           %4$s AS application_name,
           a.client_addr,
           %5$s AS client_hostname,
           a.client_port,
           a.state,
           a.wait_event_type,
           a.wait_event,
           a.backend_xid::text::bigint AS backend_xid,
           a.backend_xmin::text::bigint AS backend_xmin,
           %6$s AS query,
           -- PostgreSQL cuts at track_activity_query_size - 1 bytes, earlier by up to three bytes in a multi-byte text
           (octet_length(a.query) >= a.query_size - 1
            OR (octet_length(a.query) >= a.query_size - 4
                AND octet_length(a.query) <> length(CASE WHEN a.all_valid THEN a.query ELSE lock_catalog.readable(a.query) END)))
             AS query_truncated,
           %1$s AS query_id,
           a.backend_type,
           -- a process that has reported no statement yet, or never does, waits since its start at the earliest
           coalesce(a.query_start, a.backend_start) AS earliest_wait,
           -- a parallel apply worker (16 and later) has a leader_pid, too, but is in no lock group
           CASE WHEN a.backend_type = 'parallel worker' THEN coalesce(a.leader_pid, a.pid) ELSE a.pid END AS lock_group
      -- each of these asked once: a question for each column would be planned and begun for each
      FROM (SELECT x.*, (SELECT t.valid FROM texts t) AS all_valid, (SELECT t.plain FROM texts t) AS all_plain,
                   (SELECT pg_size_bytes(current_setting('track_activity_query_size'))) AS query_size
              FROM pg_catalog.pg_stat_activity x OFFSET 0) a
      LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
  $view$,
  CASE WHEN pg_catalog.current_setting('server_version_num')::integer >= 140000
       THEN 'a.query_id' ELSE 'NULL::bigint' END,
  format(v_readable, 'usename::text'), format(v_readable, 'datname::text'), format(v_readable, 'application_name'),
  format(v_readable, 'client_hostname'), format(v_readable, 'query'));
END
$install$;

COMMENT ON VIEW lock_catalog.sessions IS
  'Server processes now (pg_stat_activity with resolved names). Texts of other roles need pg_read_all_stats.';
COMMENT ON COLUMN lock_catalog.sessions.query_truncated IS
  'true where PostgreSQL cut the text at track_activity_query_size.';
COMMENT ON COLUMN lock_catalog.sessions.earliest_wait IS
  'What a wait counts from while PostgreSQL does not tell when it began: it cannot have begun before.';
COMMENT ON COLUMN lock_catalog.sessions.lock_group IS
  'The pid by which pg_blocking_pids() knows this process: the leader''s for a worker of a parallel query, else its own. The '
  'members of a lock group never wait for each other, and may wait for several things at once.';
COMMENT ON COLUMN lock_catalog.sessions.query_id IS
  'NULL before PostgreSQL 14, or while compute_query_id is off and no module computes it.';
