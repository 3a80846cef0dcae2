-- The common records of csvlog and jsonlog (waits, timeouts, cancelled waits), parsed and stored in one statement: a
-- convoy writes hundreds of them a second, and one at a time each would cost half a millisecond. What needs more care is
-- left for lock_log.take(): deadlocks, cancels of a process that has such a record before them here, texts with NUL bytes,
-- whatever is not of the form. Any doubt about one record fails the statement, and then all of them are left.
CREATE OR REPLACE FUNCTION lock_log.take_common(
  p_source text, p_format text, p_records text[], p_time_zone text, p_since timestamptz,
  OUT records integer, OUT first_record_at timestamptz, OUT last_record_at timestamptz, OUT others text[])
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
  c_mark constant text := chr(1);
BEGIN
  WITH r AS MATERIALIZED (
    SELECT x.raw, x.n,
           CASE WHEN position('\000' IN x.raw) > 0 OR position(c_mark IN x.raw) > 0 THEN NULL
                WHEN position('\' IN x.raw) > 0 THEN lock_log.readable_record(x.raw, p_format)
                ELSE x.raw END AS record
      FROM unnest(p_records) WITH ORDINALITY x(raw, n)),
  -- csvlog: commas outside of quotes become a mark that no record here holds, then it is cut at the marks
  a AS MATERIALIZED (
    SELECT r.n, r.raw, string_to_array((
             SELECT string_agg(CASE WHEN s.n % 2 = 1 THEN replace(s.piece, ',', c_mark) ELSE s.piece END, '"' ORDER BY s.n)
               FROM unnest(string_to_array(r.record, '"')) WITH ORDINALITY s(piece, n)), c_mark) AS field
      FROM r WHERE p_format = 'csvlog'),
  b AS MATERIALIZED (
    SELECT a.n, a.raw, ARRAY(
             SELECT CASE WHEN y.value LIKE '"%' THEN replace(substr(y.value, 2, length(y.value) - 2), '""', '"')
                         ELSE nullif(y.value, '') END
               FROM unnest(a.field) WITH ORDINALITY y(value, n) ORDER BY y.n) AS v
      FROM a),
  j AS MATERIALIZED (SELECT r.n, r.raw, r.record::jsonb AS v FROM r WHERE p_format = 'jsonlog'),
  f AS MATERIALIZED (
    SELECT b.n, b.raw, b.v[1] AS at, b.v[2] AS user_name, b.v[3] AS database_name, b.v[4] AS pid, b.v[5] AS client,
           b.v[6] AS session_id, b.v[13] AS code, b.v[14] AS message, b.v[15] AS detail, b.v[19] AS context,
           b.v[20] AS statement, b.v[23] AS application_name, cardinality(b.v) >= 22 AS whole
      FROM b
    UNION ALL
    SELECT j.n, j.raw, j.v ->> 'timestamp', j.v ->> 'user', j.v ->> 'dbname', j.v ->> 'pid', j.v ->> 'remote_host',
           j.v ->> 'session_id', coalesce(j.v ->> 'state_code', '00000'), j.v ->> 'message', j.v ->> 'detail',
           j.v ->> 'context', j.v ->> 'statement', j.v ->> 'application_name', j.v IS NOT NULL
      FROM j),
  p AS MATERIALIZED (
    SELECT f.*, CASE
             WHEN f.whole IS NOT TRUE OR f.message IS NULL OR f.pid !~ '^\d{1,9}$' OR f.code !~ '^[0-9A-Z]{5}$'
                  OR f.at !~ '^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [^ ]+$' OR f.pid IS NULL OR f.at IS NULL OR f.code IS NULL
                  OR f.code = '40P01' THEN 'other'
             WHEN f.code = '00000' THEN
               -- Swedish begins like English; what is not UTF-8 is understood there
               CASE WHEN f.message LIKE 'process %' THEN CASE WHEN strpos(f.message, E'\\x') > 0 THEN 'other' ELSE 'wait' END WHEN lock_log.says(f.message, 'modes') THEN 'other' END
             WHEN f.code = '55P03' AND f.message LIKE 'could not obtain lock on %' THEN 'not_available'
             WHEN f.code = '55P03' AND f.message = 'canceling statement due to lock timeout' THEN 'lock_timeout'
             WHEN f.code = '57014' AND f.message IN ('canceling statement due to user request', 'canceling statement due to statement timeout') THEN 'cancelled'
             -- in another language, or rare
             WHEN f.code IN ('55P03', '57014', '57P01') OR f.code = '40001' AND lock_log.begins(lock_log.escaped(f.message), 'recovery_conflict') THEN 'other' END AS kind,
           CASE WHEN f.code IN ('55P03', '57014') THEN lock_log.row_in_context(f.context) END AS row_worked_on
      FROM f),
  left_over AS MATERIALIZED (
    SELECT p.n, p.raw, p.pid FROM p WHERE p.kind = 'other'),
  k AS MATERIALIZED (
    SELECT p.*, p.ask AND EXISTS (SELECT FROM left_over x WHERE x.n < p.n AND (x.pid = p.pid OR x.pid IS NULL)) AS left_too
      -- a cancelled statement is of interest only if it waited for a lock: its context says so, or an earlier record
      FROM (SELECT p.*, p.code = '57014' AND p.row_worked_on IS NULL AS ask FROM p WHERE p.kind <> 'other') p),
  -- few minutes in a piece of log, so that the time zone is looked up a few times only
  minute AS MATERIALIZED (
    SELECT m.start, m.zone, lock_log.parse_time(m.start || ':00' || m.zone, p_time_zone) AS began
      FROM (SELECT DISTINCT left(k.at, 16) AS start, substr(k.at, 24) AS zone FROM k WHERE NOT k.left_too) m),
  e AS MATERIALIZED (
    SELECT x.*, p_since IS NULL OR x.logged_at >= p_since OR x.logged_at >= lock_log.counts_from(p_since, x.database_name) AS young
      FROM (
        SELECT k.*, minute.began + make_interval(secs => substr(k.at, 18, 6)::double precision) AS logged_at, w.m AS words,
               CASE k.kind WHEN 'wait' THEN w.m[4]
                           WHEN 'not_available' THEN substring(k.message FROM '^could not obtain lock on (.*)$') ELSE k.row_worked_on END AS object_text
          FROM k
          JOIN minute ON minute.start = left(k.at, 16) AND minute.zone = substr(k.at, 24)
          LEFT JOIN LATERAL lock_log.wait_words(CASE k.kind WHEN 'wait' THEN k.message END) w(m) ON true
         WHERE NOT k.left_too AND minute.began IS NOT NULL AND (k.kind <> 'wait' OR w.m[1] = k.pid)) x),
  o AS MATERIALIZED (
    SELECT t.object_text, p.*
      FROM (SELECT DISTINCT e.object_text FROM e WHERE e.object_text IS NOT NULL) t, lock_log.parse_object(t.object_text) p),
  -- of the processes whose cancel is in question, what is known from before and what stands here: a cancel counts if its
  -- session's last wait came after whatever else the process said
  known AS MATERIALIZED (
    SELECT v.pid, v.session_id, v.kind = 'waiting' AS waiting, v.logged_at, 0::bigint AS n
      FROM lock_log.event v
     WHERE v.pid = ANY (ARRAY(SELECT e.pid::integer FROM e WHERE e.ask))
       AND v.logged_at >= (SELECT min(e.logged_at) FROM e WHERE e.ask) - interval '1 day'
    UNION ALL
    SELECT e.pid::integer, e.session_id, e.kind = 'wait' AND e.words[2] = 'waiting', e.logged_at, e.n
      FROM e WHERE e.young),
  waited AS MATERIALIZED (
    SELECT x.n
      FROM (SELECT known.n, known.logged_at,
                   max(known.logged_at) FILTER (WHERE known.waiting) OVER (
                     PARTITION BY known.pid, known.session_id ORDER BY known.logged_at, known.n
                     ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS last_wait,
                   max(known.logged_at) FILTER (WHERE NOT known.waiting) OVER (
                     PARTITION BY known.pid ORDER BY known.logged_at, known.n
                     ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS last_other
              FROM known) x
     WHERE x.last_wait > coalesce(x.last_other, '-infinity') AND x.last_wait >= x.logged_at - interval '1 day'),
  g AS MATERIALIZED (
    SELECT e.*, CASE e.kind WHEN 'wait' THEN e.words[2] ELSE e.kind END AS stored_kind,
           e.words[3] AS lock_mode, e.words[5]::numeric AS waited_ms,
           CASE e.kind WHEN 'wait' THEN lock_log.wait_detail(e.detail) END AS stored_detail,
           lock_log.standing_of(p_format, e.code, e.context) AS standing
      FROM e
     WHERE e.young AND (NOT e.ask OR e.n IN (SELECT w.n FROM waited w))),
  stored AS (
    INSERT INTO lock_log.event AS k (record_hash, kind, logged_at, pid, session_id, sqlstate, user_name, database_name,
      application_name, client, lock_mode, lock_type, object_text, database_oid, relation_oid, page, tuple, transactionid,
      waited_ms, detail, statement, context, source, stored_at, handled, standing, proof, whole_seconds)
    SELECT g.record_hash, g.stored_kind, g.logged_at, g.pid::integer, g.session_id, g.code, g.user_name, g.database_name, g.application_name,
           g.client, g.lock_mode, o.lock_type, g.object_text, o.database_oid, o.relation_oid, o.page, o.tuple,
           o.transactionid, g.waited_ms, g.stored_detail, g.statement, g.context, p_source, clock_timestamp(),
           NOT lock_log.may_be_event(g.stored_kind, g.context),
           g.standing, CASE WHEN g.standing = 'proven' THEN 'code' END, false
      FROM (SELECT DISTINCT ON (h.record_hash) h.record_hash, g.*
              FROM g CROSS JOIN LATERAL (
                SELECT lock_log.record_hash(g.stored_kind, g.pid::integer, g.logged_at, g.lock_mode, g.object_text, g.waited_ms) AS record_hash) h
             ORDER BY h.record_hash, g.n) g LEFT JOIN o ON o.object_text = g.object_text
     ORDER BY g.n
    -- what was only claimed and now stands where it proves itself is as it stands there
    ON CONFLICT (record_hash) DO UPDATE
      SET standing = EXCLUDED.standing, proof = EXCLUDED.proof, sqlstate = EXCLUDED.sqlstate, session_id = EXCLUDED.session_id,
          user_name = EXCLUDED.user_name, database_name = EXCLUDED.database_name, application_name = EXCLUDED.application_name,
          client = EXCLUDED.client, detail = EXCLUDED.detail, statement = EXCLUDED.statement, context = EXCLUDED.context,
          handled = EXCLUDED.handled OR k.deadlock_event_hk IS NOT NULL
      WHERE k.standing = 'claimed' AND EXCLUDED.standing = 'proven'
    RETURNING 1)
  SELECT (SELECT count(*) FROM stored)::integer, (SELECT min(g.logged_at) FROM g), (SELECT max(g.logged_at) FROM g),
         (SELECT array_agg(x.raw ORDER BY x.n) FROM (SELECT l.n, l.raw FROM left_over l
                                                      UNION ALL SELECT k.n, k.raw FROM k WHERE k.left_too
                                                      -- a time that is none, or of another zone: it is counted there
                                                      UNION ALL SELECT k.n, k.raw FROM k JOIN minute ON minute.start = left(k.at, 16) AND minute.zone = substr(k.at, 24)
                                                       WHERE NOT k.left_too AND minute.began IS NULL) x)
    INTO records, first_record_at, last_record_at, others;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
  records := 0; last_record_at := NULL; others := p_records;
END
$$;
COMMENT ON FUNCTION lock_log.take_common(text, text, text[], text, timestamptz) IS
  'Stores the common records among these at once: how many were new, the time of the last one, and those left for lock_log.take().';
