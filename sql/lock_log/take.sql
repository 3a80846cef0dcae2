-- Parses a piece of log and stores what it says about locks. One parser for every way a log comes in.
CREATE OR REPLACE FUNCTION lock_log.take(
  p_source text, p_format text, p_start bigint, p_chunk bytea, p_tail text, p_prefixes text[], p_time_zone text, p_since timestamptz, p_old_bytes bigint,
  OUT consumed bigint, OUT records integer, OUT unreadable integer, OUT last_record_at timestamptz, OUT foreign_zone text, OUT heads integer)
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  -- readable whatever the encoding: high bytes as \nnn
  v_text text := encode(p_chunk, 'escape');
  v_cut record;
  v_record text;
  v_encoding name;
  v_utf8 constant boolean := lock_log.is_utf8(p_chunk);
  r record;
  k record;
  o record;
  v_new integer;
  v_standing text;
  v_like text;
  v_likes jsonb := '{}';
  v_alike integer;
  v_from timestamptz;
BEGIN
  -- a byte-order mark, which an editor of Windows puts before a file, is no part of its first record
  IF left(v_text, 12) = '\357\273\277' THEN
    v_text := substr(v_text, 13);
  END IF;
  records := 0; unreadable := 0; heads := 0;
  IF p_format = 'stderr' THEN
    SELECT * INTO v_cut FROM lock_log.split_stderr(v_text, p_tail, p_prefixes, v_utf8,
      p_since IS NOT NULL AND p_old_bytes > 0 AND p_old_bytes < length(p_chunk));
    heads := v_cut.heads;
  ELSIF v_text !~ lock_log.worth_reading(p_format) AND right(v_text, 1) = E'\n'
    AND (p_format = 'jsonlog' OR (length(v_text) - length(replace(v_text, '"', ''))) % 2 = 0) THEN
    consumed := length(p_chunk);
    RETURN;
  ELSE
    SELECT * INTO v_cut FROM lock_log.split(p_format, v_text, p_tail = 'whole');
  END IF;
  unreadable := v_cut.unreadable;
  consumed := length(p_chunk) - CASE WHEN v_cut.rest = 0 THEN 0 ELSE length(decode(right(v_text, v_cut.rest), 'escape')) END;
  IF p_format IN ('csvlog', 'jsonlog') AND cardinality(v_cut.records) > 0 THEN
    SELECT c.records, c.first_record_at, c.last_record_at, coalesce(c.others, '{}') INTO records, v_from, last_record_at, v_cut.records
      FROM lock_log.take_common(p_source, p_format, v_cut.records, p_time_zone, p_since) c;
  END IF;
  FOREACH v_record IN ARRAY v_cut.records LOOP
    BEGIN
      v_encoding := NULL;
      IF position('\' IN v_record) > 0 THEN
        v_record := CASE p_format WHEN 'stderr' THEN v_record ELSE lock_log.without_nul(v_record) END;
        v_encoding := CASE WHEN NOT v_utf8 THEN lock_log.record_encoding(CASE p_format
          WHEN 'stderr' THEN (SELECT string_agg(f.value, E'\n') FROM jsonb_each_text(v_record::jsonb) f) ELSE v_record END) END;
        IF p_format <> 'stderr' THEN
          v_record := CASE WHEN v_encoding IS NULL THEN lock_log.readable_record(v_record, p_format) ELSE convert_from(decode(v_record, 'escape'), v_encoding) END;
        END IF;
      END IF;
      SELECT * INTO r FROM lock_log.parse_record(p_format, v_record, p_time_zone, v_encoding);
      IF NOT r.readable THEN
        unreadable := unreadable + 1;
        IF r.pid IS NOT NULL AND r.message IS NOT NULL THEN
          foreign_zone := coalesce(foreign_zone, substring(v_record FROM '\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? ([A-Za-z]{2,8}|[+-]\d{2,4})\M'));
        END IF;
        CONTINUE;
      END IF;
      CONTINUE WHEN r.logged_at < p_since AND coalesce(coalesce(r.at_byte, 0) < p_old_bytes, true) AND r.logged_at < lock_log.counts_from(p_since, r.database_name);
      SELECT * INTO k FROM lock_log.classify(r.sqlstate, r.message, r.detail, r.context, r.pid);
      IF k.kind IS NULL THEN
        -- of a language that this vault's encoding cannot hold, so its words were not known
        unreadable := unreadable + (r.message ~ '\\u[0-9A-F]{4}' AND lock_log.says(r.message, 'modes'))::integer;
        CONTINUE;
      END IF;
      -- a cancelled statement or an ended session is of interest only if it waited for a lock
      CONTINUE WHEN k.kind IN ('cancelled', 'terminated') AND k.object_text IS NULL
        AND NOT EXISTS (
          SELECT FROM lock_log.event e
           WHERE e.pid = r.pid AND e.kind = 'waiting' AND e.logged_at BETWEEN r.logged_at - interval '1 day' AND r.logged_at
             AND e.session_id IS NOT DISTINCT FROM r.session_id
             AND NOT EXISTS (SELECT FROM lock_log.event a WHERE a.pid = e.pid AND a.logged_at BETWEEN e.logged_at AND r.logged_at
                               AND a.kind <> 'waiting'));
      IF v_encoding IS NOT NULL THEN
        k.object_text := lock_log.as_written(k.object_text, v_encoding);
        k.detail := lock_log.as_written(k.detail::text, v_encoding, true)::jsonb;
        r.user_name := lock_log.as_written(r.user_name, v_encoding); r.database_name := lock_log.as_written(r.database_name, v_encoding);
        r.application_name := lock_log.as_written(r.application_name, v_encoding); r.client := lock_log.as_written(r.client, v_encoding);
        r.severity := lock_log.as_written(r.severity, v_encoding); r.message := lock_log.as_written(r.message, v_encoding);
        r.detail := lock_log.as_written(r.detail, v_encoding); r.context := lock_log.as_written(r.context, v_encoding);
        r.statement := lock_log.as_written(r.statement, v_encoding); r.session_id := lock_log.as_written(r.session_id, v_encoding);
      END IF;
      SELECT * INTO o FROM lock_log.parse_object(k.object_text);
      v_alike := NULL;
      IF r.whole_seconds THEN
        v_like := lock_log.record_hash(k.kind, r.pid, r.logged_at, k.lock_mode, k.object_text, k.waited_ms);
        v_likes := v_likes || jsonb_build_object(v_like, coalesce((v_likes ->> v_like)::integer, 0) + 1);
        v_alike := greatest((v_likes ->> v_like)::integer, 1 + (
          SELECT count(*) FROM lock_log.event e
           WHERE e.whole_seconds AND e.pid = r.pid AND e.logged_at = r.logged_at AND e.kind = k.kind AND e.source = p_source AND e.at_byte < p_start + r.at_byte
             AND lock_log.record_hash(e.kind, e.pid, e.logged_at, e.lock_mode, e.object_text, e.waited_ms) = v_like));
      END IF;
      v_standing := lock_log.standing_of(p_format, r.sqlstate, r.context);
      INSERT INTO lock_log.event AS e (record_hash, kind, logged_at, pid, session_id, sqlstate, user_name, database_name,
        application_name, client, lock_mode, lock_type, object_text, database_oid, relation_oid, page, tuple, transactionid,
        waited_ms, detail, statement, context, excerpt, source, stored_at, handled, standing, proof, whole_seconds, at_byte)
      VALUES (lock_log.record_hash(k.kind, r.pid, r.logged_at, k.lock_mode, k.object_text, k.waited_ms, v_alike),
        k.kind, r.logged_at, r.pid, r.session_id, r.sqlstate, r.user_name, r.database_name, r.application_name, r.client,
        k.lock_mode, o.lock_type, k.object_text, o.database_oid, o.relation_oid, o.page, o.tuple, o.transactionid,
        k.waited_ms, k.detail, r.statement, r.context,
        CASE WHEN k.kind = 'deadlock' THEN left(concat_ws(E'\n', r.severity || ': ' || r.message, 'DETAIL: ' || r.detail,
          'CONTEXT: ' || r.context, 'STATEMENT: ' || r.statement), 20000) END,
        p_source, clock_timestamp(), NOT lock_log.may_be_event(k.kind, r.context), v_standing, CASE WHEN v_standing = 'proven' THEN 'code' END,
        r.whole_seconds, CASE WHEN r.whole_seconds THEN p_start + r.at_byte END)
      -- what was only claimed and now stands where it proves itself is as it stands there
      ON CONFLICT (record_hash) DO UPDATE
        SET standing = EXCLUDED.standing, proof = EXCLUDED.proof, sqlstate = EXCLUDED.sqlstate, session_id = EXCLUDED.session_id,
            user_name = EXCLUDED.user_name, database_name = EXCLUDED.database_name, application_name = EXCLUDED.application_name,
            client = EXCLUDED.client, detail = EXCLUDED.detail, statement = EXCLUDED.statement, context = EXCLUDED.context,
            excerpt = EXCLUDED.excerpt, handled = EXCLUDED.handled OR e.deadlock_event_hk IS NOT NULL
        WHERE e.standing = 'claimed' AND EXCLUDED.standing = 'proven';
      GET DIAGNOSTICS v_new = ROW_COUNT;
      records := records + v_new;
      v_from := least(v_from, r.logged_at);
      last_record_at := greatest(last_record_at, r.logged_at);
    EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
      -- one record that cannot be stored does not stop the reader; it is counted
      unreadable := unreadable + 1;
    END;
  END LOOP;
  IF records > 0 AND EXISTS (SELECT FROM lock_log.event e WHERE e.whole_seconds) THEN
    records := records - lock_log.merge_seconds(v_from, last_record_at);
  END IF;
END
$$;
COMMENT ON FUNCTION lock_log.take(text, text, bigint, bytea, text, text[], text, timestamptz, bigint) IS
  'Stores what a piece of log says about locks since p_since; bytes consumed (the rest belongs to a record not yet complete), '
  'records newly stored, records of no known form; foreign_zone: a zone''s abbreviation in them that p_time_zone does not have then; '
  'p_old_bytes: of stderr, what begins behind so many bytes of the piece is taken whatever its time (NULL: no such bound); heads: of stderr, of the lines that were looked at those that have the prefix. p_tail, p_prefixes: see lock_log.split_stderr().';
