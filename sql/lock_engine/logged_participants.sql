-- The participants of a deadlock as its log record names them, in the order of the ring. What the record does not say is
-- taken from the wait lines of log_lock_waits before it, and (user, application) from sessions that are still there.
CREATE OR REPLACE FUNCTION lock_engine.logged_participants(p_event lock_log.event)
RETURNS jsonb
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  -- a number or a bare name is looked up only where it is known to be of this database
  v_database oid := (SELECT d.oid FROM pg_database d WHERE d.datname = current_database());
  v_here boolean := coalesce(p_event.database_name = current_database(), false);
  v_size integer := pg_size_bytes(current_setting('track_activity_query_size'));
  v_members jsonb;
BEGIN
  IF p_event.detail IS NULL THEN
    RETURN jsonb_build_array(jsonb_strip_nulls(jsonb_build_object('pid', p_event.pid, 'user', p_event.user_name,
      'database', p_event.database_name, 'application', p_event.application_name, 'client', p_event.client,
      'query', p_event.statement, 'context', p_event.context)));
  END IF;
  PERFORM pg_stat_clear_snapshot();
  SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
           'pid', d.pid, 'process', d.pid, 'backend_start', s.backend_start,
           'user', coalesce(CASE WHEN d.pid = p_event.pid THEN p_event.user_name END, w.user_name, s.user_name),
           'database', p_event.database_name,
           'application', coalesce(CASE WHEN d.pid = p_event.pid THEN p_event.application_name END, w.application_name, s.application_name),
           'client', coalesce(CASE WHEN d.pid = p_event.pid THEN p_event.client END, w.client, host(s.client_addr)),
           'query', q.text, 'query_truncated', CASE WHEN octet_length(q.text) BETWEEN v_size - 4 AND v_size - 1 THEN true END,
           'wanted_mode', d.mode, 'lock_type', o.lock_type, 'object_key', NULL,
           'wanted', CASE WHEN c.tuple IS NOT NULL AND o.lock_type = 'transactionid'
                            THEN format('row (%s,%s) of %s (transaction %s)', c.page, c.tuple, c.table_name, o.transactionid)
                          WHEN r.table_name IS NOT NULL AND o.lock_type = 'tuple' THEN format('row (%s,%s) of %s', o.page, o.tuple, r.table_name)
                          WHEN r.table_name IS NOT NULL THEN 'table ' || r.table_name ELSE d.object END,
           'table', coalesce(r.table_name, c.table_name), 'relation_oid', o.relation_oid, 'database_oid', o.database_oid,
           'page', coalesce(o.page, c.page), 'tuple', coalesce(o.tuple, c.tuple), 'transactionid', o.transactionid,
           'blocked_by', d.blocker, 'context', coalesce(CASE WHEN d.pid = p_event.pid THEN p_event.context END, w.context),
           'wait_start', w.logged_at - make_interval(secs => (w.waited_ms / 1000)::double precision),
           'statements_ambiguous', CASE WHEN (p_event.detail ->> 'ambiguous')::boolean THEN true END)) ORDER BY d.n)
    INTO v_members
    FROM (SELECT x.n, (x.e ->> 'pid')::integer AS pid, x.e ->> 'mode' AS mode, x.e ->> 'object' AS object, (x.e ->> 'blocker')::integer AS blocker
            FROM jsonb_array_elements(p_event.detail -> 'edges') WITH ORDINALITY x(e, n)) d
    CROSS JOIN LATERAL lock_log.parse_object(d.object) o
    -- the victim's statement is a field of its own, whole
    CROSS JOIN LATERAL (SELECT coalesce(CASE WHEN d.pid = p_event.pid THEN p_event.statement END,
                                        p_event.detail -> 'statements' ->> d.pid::text) AS text) q
    LEFT JOIN LATERAL (
      SELECT v.* FROM lock_log.event v
       WHERE v.pid = d.pid AND v.kind IN ('waiting', 'deadlock_wait') AND v.standing IS DISTINCT FROM 'claimed' AND v.object_text = d.object AND v.lock_mode = d.mode
         AND v.logged_at BETWEEN p_event.logged_at - interval '1 day' AND p_event.logged_at + interval '1 second'
       ORDER BY v.logged_at DESC, v.waited_ms DESC LIMIT 1) w ON true
    LEFT JOIN lock_catalog.sessions s ON s.pid = d.pid AND s.backend_start < p_event.logged_at AND s.database_name = p_event.database_name
    LEFT JOIN LATERAL (
      SELECT lock_catalog.readable(n.nspname::text || '.' || k.relname) AS table_name FROM pg_class k JOIN pg_namespace n ON n.oid = k.relnamespace
       WHERE o.database_oid = v_database AND coalesce(p_event.database_name = current_database(), true) AND k.oid = o.relation_oid) r ON true
    LEFT JOIN LATERAL (
      -- English only: "while updating tuple (0,1) in relation "accounts""; of a key inserted the tuple is none that is waited for, and the
      -- relation may be the index
      SELECT CASE WHEN NOT x.key THEN m[2]::integer END AS page, CASE WHEN NOT x.key THEN m[3]::integer END AS tuple,
             -- the name has no schema there: it is added only where one table of that name exists
             coalesce((SELECT lock_catalog.readable(min(n.nspname::text || '.' || k.relname)) FROM pg_class k JOIN pg_namespace n ON n.oid = k.relnamespace
                        WHERE v_here AND k.relkind IN ('r', 'p', 'm') AND n.nspname !~ '^pg_'
                          AND (k.relname = m[4] OR x.key AND k.oid IN (SELECT i.indrelid FROM pg_index i JOIN pg_class ix ON ix.oid = i.indexrelid
                                                                        WHERE ix.relname = m[4]))
                       HAVING count(*) = 1), CASE WHEN NOT x.key THEN m[4] END) AS table_name
        FROM regexp_match(coalesce(CASE WHEN d.pid = p_event.pid THEN p_event.context END, w.context),
                          '(?:^|\n)while (\w+(?: \w+)*) tuple \((\d+),(\d+)\) in relation "([^\n]*)"') m
        CROSS JOIN LATERAL (SELECT m[1] = 'inserting index' AS key) x) c ON true;
  RETURN v_members;
END
$$;
COMMENT ON FUNCTION lock_engine.logged_participants(lock_log.event) IS
  'The members of a logged deadlock in the form of lock_catalog.deadlock_members; keys not known are absent.';
