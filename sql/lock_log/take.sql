-- Parses a piece of log and stores what it says about locks. One parser for every way a log comes in.
CREATE OR REPLACE FUNCTION lock_log.take(
  p_source text, p_format text, p_chunk bytea, p_whole boolean, p_prefix text, p_time_zone text, p_since timestamptz,
  OUT consumed bigint, OUT records integer, OUT unreadable integer, OUT last_record_at timestamptz, OUT foreign_zone text, OUT heads integer)
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  -- readable whatever the encoding: high bytes as \nnn
  v_text text := encode(p_chunk, 'escape');
  v_pattern text;
  v_cut record;
  v_record text;
  r record;
  k record;
  o record;
  v_new integer;
  v_standing text;
BEGIN
  -- a byte-order mark, which an editor of Windows puts before a file, is no part of its first record
  IF left(v_text, 12) = '\357\273\277' THEN
    v_text := substr(v_text, 13);
  END IF;
  records := 0; unreadable := 0; heads := 0;
  IF p_format = 'stderr' THEN
    v_pattern := (lock_log.prefix_pattern(p_prefix)).pattern;
  END IF;
  IF v_text !~ '40P01|55P03|57014|still waiting for|acquired|failed to acquire|deadlock|lock timeout|obtain lock|canceling statement'
     AND right(v_text, 1) = E'\n'
     AND (p_format <> 'csvlog' OR (length(v_text) - length(replace(v_text, '"', ''))) % 2 = 0) THEN
    consumed := length(p_chunk);
    RETURN;
  END IF;
  SELECT * INTO v_cut FROM lock_log.split(p_format, v_text, p_whole, v_pattern);
  unreadable := v_cut.unreadable;
  heads := v_cut.heads;
  consumed := length(p_chunk) - CASE WHEN v_cut.rest = 0 THEN 0 ELSE length(decode(right(v_text, v_cut.rest), 'escape')) END;
  IF p_format IN ('csvlog', 'jsonlog') AND cardinality(v_cut.records) > 0 THEN
    SELECT c.records, c.last_record_at, coalesce(c.others, '{}') INTO records, last_record_at, v_cut.records
      FROM lock_log.take_common(p_source, p_format, v_cut.records, p_time_zone, p_since) c;
  END IF;
  FOREACH v_record IN ARRAY v_cut.records LOOP
    BEGIN
      IF v_record ~ '(?:^|[^\\])(?:\\\\)*\\000' THEN
        v_record := replace(v_record, '\000', '');
      END IF;
      IF position('\' IN v_record) > 0 THEN
        v_record := lock_log.readable_record(v_record, p_format);
      END IF;
      SELECT * INTO r FROM lock_log.parse_record(p_format, v_record, p_prefix, p_time_zone);
      IF NOT r.readable THEN
        unreadable := unreadable + 1;
        IF r.pid IS NOT NULL AND r.message IS NOT NULL THEN
          foreign_zone := coalesce(foreign_zone, substring(v_record FROM '\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? ([A-Za-z]{2,8}|[+-]\d{2,4})\M'));
        END IF;
        CONTINUE;
      END IF;
      CONTINUE WHEN r.logged_at < p_since;
      SELECT * INTO k FROM lock_log.classify(r.sqlstate, r.message, r.detail, r.context, r.pid);
      CONTINUE WHEN k.kind IS NULL;
      -- a cancelled statement is of interest only if it waited for a lock
      CONTINUE WHEN k.kind = 'cancelled' AND coalesce(r.context, '') !~ '^while (updating|locking|deleting|inserting|rechecking)'
        AND NOT EXISTS (
          SELECT FROM lock_log.event e
           WHERE e.pid = r.pid AND e.kind = 'waiting' AND e.logged_at BETWEEN r.logged_at - interval '1 day' AND r.logged_at
             AND e.session_id IS NOT DISTINCT FROM r.session_id
             AND NOT EXISTS (SELECT FROM lock_log.event a WHERE a.pid = e.pid AND a.logged_at BETWEEN e.logged_at AND r.logged_at
                               AND a.kind <> 'waiting'));
      SELECT * INTO o FROM lock_log.parse_object(k.object_text);
      v_standing := lock_log.standing_of(p_format, r.sqlstate, r.context);
      INSERT INTO lock_log.event AS e (record_hash, kind, logged_at, pid, session_id, sqlstate, user_name, database_name,
        application_name, client, lock_mode, lock_type, object_text, database_oid, relation_oid, page, tuple, transactionid,
        waited_ms, detail, statement, context, excerpt, source, stored_at, handled, standing, proof)
      VALUES (md5(concat_ws('|', k.kind, r.pid, floor(extract(epoch FROM r.logged_at) * 1000)::bigint, k.lock_mode, k.object_text, k.waited_ms)),
        k.kind, r.logged_at, r.pid, r.session_id, r.sqlstate, r.user_name, r.database_name, r.application_name, r.client,
        k.lock_mode, o.lock_type, k.object_text, o.database_oid, o.relation_oid, o.page, o.tuple, o.transactionid,
        k.waited_ms, k.detail, r.statement, r.context,
        CASE WHEN k.kind = 'deadlock' THEN left(concat_ws(E'\n', r.severity || ': ' || r.message, 'DETAIL: ' || r.detail,
          'CONTEXT: ' || r.context, 'STATEMENT: ' || r.statement), 20000) END,
        p_source, clock_timestamp(), NOT lock_log.may_be_event(k.kind, r.context), v_standing, CASE WHEN v_standing = 'proven' THEN 'code' END)
      -- what was only claimed and now stands where it proves itself is as it stands there
      ON CONFLICT (record_hash) DO UPDATE
        SET standing = EXCLUDED.standing, proof = EXCLUDED.proof, sqlstate = EXCLUDED.sqlstate, session_id = EXCLUDED.session_id,
            user_name = EXCLUDED.user_name, database_name = EXCLUDED.database_name, application_name = EXCLUDED.application_name,
            client = EXCLUDED.client, detail = EXCLUDED.detail, statement = EXCLUDED.statement, context = EXCLUDED.context,
            excerpt = EXCLUDED.excerpt, handled = EXCLUDED.handled OR e.deadlock_event_hk IS NOT NULL
        WHERE e.standing = 'claimed' AND EXCLUDED.standing = 'proven';
      GET DIAGNOSTICS v_new = ROW_COUNT;
      records := records + v_new;
      last_record_at := greatest(last_record_at, r.logged_at);
    EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
      -- one record that cannot be stored does not stop the reader; it is counted
      unreadable := unreadable + 1;
    END;
  END LOOP;
END
$$;
COMMENT ON FUNCTION lock_log.take(text, text, bytea, boolean, text, text, timestamptz) IS
  'Stores what a piece of log says about locks since p_since; bytes consumed (the rest belongs to a record not yet complete), '
  'records newly stored, records of no known form; foreign_zone: a zone''s abbreviation in them that p_time_zone does not have then; '
  'heads: of stderr, the lines that have the prefix.';
