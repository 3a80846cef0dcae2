-- Takes what the server has logged since the last call: follows the file by offset, goes through rotated files in order,
-- and begins anew where a file of the same name turns out to be another. Nothing new costs two file looks. Never raises
-- because of the log: what is wrong becomes the state that lock_log.status() shows.
CREATE OR REPLACE FUNCTION lock_log.read_server_log()
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c_chunk constant bigint := 1024 * 1024;
  c_first_chunk constant bigint := 128 * 1024;
  c_least_chunk constant bigint := 32 * 1024;
  c_largest_record constant bigint := 8 * 1024 * 1024;
  c_unfit constant text := 'log not readable: log_line_prefix does not fit';
  c_budget constant interval := interval '300 ms';
  c_old_prefix constant interval := interval '10 minutes';
  s lock_log.state;
  f record;
  t record;
  v_began timestamptz := clock_timestamp();
  v_file record;
  v_old record;
  v_leaving boolean := false;
  v_position bigint;
  v_length bigint;
  v_piece_began timestamptz;
  v_chunk bytea;
  v_head bytea;
  v_head_length integer;
  v_prefix text;
  v_since timestamptz;
  -- what the file held when it was first looked at, by which what is older than the copy of a database ends; NULL: not known
  v_there bigint;
  v_taken integer := 0;
  v_unreadable integer := 0;
  v_skipped bigint := 0;
  v_last timestamptz;
  v_finished boolean := true;
  v_heads integer := 0;
  v_enough boolean;
  v_was_read boolean;
  v_fits boolean;
  v_before text;
  v_still boolean := false;
  v_lingers boolean := false;
  v_settled boolean := true;
BEGIN
  SELECT * INTO s FROM lock_log.state WHERE state_id = 1;
  -- what a DBA has changed is looked at now, not in a minute
  IF s.retry_at > v_began AND greatest(pg_conf_load_time(), pg_postmaster_start_time()) < s.retry_at - interval '1 minute' THEN
    RETURN 0;
  END IF;
  BEGIN
    v_prefix := current_setting('log_line_prefix');
    v_enough := lock_log.prefix_suffices(v_prefix);
    -- some processes go on with the prefix of before a change until they have read it
    v_before := CASE WHEN s.prefix <> v_prefix THEN s.prefix WHEN s.prefix_until > v_began THEN s.prefix_before END;
    v_was_read := s.readable OR s.state LIKE c_unfit || '%';
    SELECT * INTO f FROM lock_log.server_file();
    IF s.log_format <> f.log_format AND s.file_name IS NOT NULL THEN
      v_leaving := v_was_read AND (s.log_format <> 'stderr' OR v_enough);
      IF v_leaving THEN
        -- a better format, or the server writes the old one no more: first what that still holds
        SELECT * INTO v_old FROM lock_log.server_file(s.log_format);
        IF v_old.log_format = s.log_format THEN
          f := v_old;
        ELSE
          SELECT s.file_name AS file_name, s.log_format AS log_format, NULL::bigint AS file_size, NULL::timestamptz AS modified_at INTO f;
          -- what was on its way when the settings changed is written still
          v_lingers := pg_conf_load_time() > v_began - interval '2 seconds';
        END IF;
      END IF;
    END IF;
    IF f.file_name IS NULL THEN
      PERFORM lock_log.set_unreadable(
        CASE WHEN current_setting('logging_collector')::boolean
             THEN format('log not readable: log_destination is %s, which writes no file', current_setting('log_destination'))
             ELSE 'log not readable: logging_collector is off' END,
        'Set logging_collector = on and log_destination = csvlog (a restart is needed), or import files with '
        'manage.py lockmon_read_log FILE.');
      RETURN 0;
    END IF;
    IF NOT v_leaving AND v_was_read AND f.file_name = s.file_name AND f.file_size = s.file_size AND f.modified_at = s.modified_at THEN
      IF s.settled THEN
        RETURN 0;
      END IF;
      v_still := true;
    END IF;
    IF f.log_format = 'stderr' AND NOT v_enough THEN
      PERFORM lock_log.set_unreadable(
        format('log not readable: log_line_prefix is "%s", which lacks the time (%%m) or the process (%%p)', lock_catalog.readable(v_prefix)),
        'ALTER SYSTEM SET log_destination = ''stderr,csvlog''; SELECT pg_reload_conf(); or put %m [%p] into log_line_prefix.');
      RETURN 0;
    END IF;

    -- until a reading has come to the end of the log (modified_at): nothing from before this database and the monitor in
    -- it came to be; what a first reading out of time leaves is as old as what it read
    IF s.modified_at IS NULL THEN
      v_since := lock_log.installed_since();
    END IF;
    IF s.file_name IS NULL OR s.log_format <> f.log_format THEN
      -- the first time, or another format than before: the present file
      v_since := greatest(v_since, s.last_read_at - interval '1 minute');
      SELECT p.first_byte, p.skipped_bytes INTO v_position, v_skipped
        FROM lock_log.first_position(f.file_name, f.file_size, v_since, current_setting('log_timezone')) p;
      s.file_name := f.file_name;
      v_there := f.file_size;
    ELSE
      v_position := s.position;
      v_there := s.file_size;
    END IF;

    FOR v_file IN
      SELECT s.file_name AS file_name, 0 AS n
      UNION ALL
      SELECT l.file_name, row_number() OVER (ORDER BY l.file_name = f.file_name, l.modified_at, l.file_name)
        FROM lock_log.later_files(s.file_name, f.log_format, coalesce(s.modified_at, s.last_read_at - interval '1 second')) l
       WHERE s.file_name <> f.file_name
      ORDER BY 2
    LOOP
      IF v_file.n > 0 THEN
        v_position := 0; s.head_length := NULL;
      END IF;
      s.file_name := v_file.file_name;
      v_head := lock_log.read_server_file(s.file_name, 0, 256);
      CONTINUE WHEN v_head IS NULL;
      IF s.head_length > 0 AND md5(substr(v_head, 1, s.head_length)) <> s.head_hash THEN
        v_position := 0;
      END IF;
      v_length := c_first_chunk;
      LOOP
        v_piece_began := clock_timestamp();
        v_chunk := lock_log.read_server_file(s.file_name, v_position, v_length);
        EXIT WHEN v_chunk IS NULL OR length(v_chunk) = 0;
        SELECT * INTO t FROM lock_log.take('server', f.log_format, v_position, v_chunk,
          CASE WHEN length(v_chunk) = v_length THEN 'more' WHEN v_file.file_name <> f.file_name THEN 'whole' WHEN v_still OR v_leaving THEN 'still' ELSE 'now' END,
          array_remove(ARRAY[v_prefix, v_before], NULL), current_setting('log_timezone'), v_since,
          CASE WHEN v_file.n = 0 THEN v_there - v_position ELSE 0 END);
        v_settled := f.log_format <> 'stderr' OR v_still OR t.consumed = length(v_chunk);
        v_taken := v_taken + t.records;
        v_unreadable := v_unreadable + t.unreadable;
        v_heads := v_heads + t.heads;
        v_last := greatest(v_last, t.last_record_at);
        IF t.consumed = 0 AND length(v_chunk) = v_length THEN
          -- a record longer than a piece; one that never ends is passed over
          IF v_length >= c_largest_record THEN
            v_position := v_position + v_length; v_skipped := v_skipped + v_length; v_unreadable := v_unreadable + 1;
          ELSE
            v_length := v_length * 2;
          END IF;
          CONTINUE;
        END IF;
        v_position := v_position + t.consumed;
        EXIT WHEN length(v_chunk) < v_length;
        -- the next piece is as long as what is left of the time allows, by what this one took
        v_length := least(c_chunk, length(v_chunk) * extract(epoch FROM c_budget - (clock_timestamp() - v_began))
          / greatest(extract(epoch FROM clock_timestamp() - v_piece_began), 0.0001));
        v_finished := v_length >= c_least_chunk;
        EXIT WHEN NOT v_finished;
      END LOOP;
      v_head_length := least(length(v_head), v_position)::integer;
      s.head_length := v_head_length; s.head_hash := md5(substr(v_head, 1, v_head_length));
      EXIT WHEN NOT v_finished;
    END LOOP;

    -- of the lines that look like the beginning of a record most must have the prefix; where none was seen, as it was
    v_fits := CASE WHEN f.log_format <> 'stderr' THEN true
                   WHEN v_heads = 0 AND v_unreadable = 0 THEN coalesce(s.readable OR s.state NOT LIKE c_unfit || '%', true)
                   ELSE v_unreadable < 2 OR v_unreadable <= v_heads END;
    INSERT INTO lock_log.state AS x (state_id, state, readable, since, file_name, log_format, position, file_size, modified_at,
      head_length, head_hash, last_read_at, last_record_at, records_taken, records_unreadable, skipped_bytes, settled, prefix, prefix_before, prefix_until)
    VALUES (1, CASE WHEN v_fits THEN 'log readable' ELSE c_unfit || format(': log_line_prefix is "%s", and %s of %s lines that look like a record begin with it',
                                   lock_catalog.readable(v_prefix), v_heads, v_heads + v_unreadable) END, v_fits, v_began, s.file_name, f.log_format, v_position,
      CASE WHEN v_finished THEN f.file_size WHEN s.modified_at IS NULL THEN v_there END, CASE WHEN v_finished THEN f.modified_at ELSE s.modified_at END,
      s.head_length, s.head_hash, v_began, v_last, v_taken, v_unreadable, v_skipped, v_settled, v_prefix, v_before,
      CASE WHEN s.prefix <> v_prefix THEN v_began + c_old_prefix ELSE s.prefix_until END)
    ON CONFLICT (state_id) DO UPDATE
       SET state = CASE WHEN NOT v_fits AND v_heads + v_unreadable = 0 THEN x.state ELSE EXCLUDED.state END, readable = EXCLUDED.readable,
           what_to_do = CASE WHEN NOT v_fits THEN 'The file was begun with another prefix, or holds what is not PostgreSQL''s: see log_line_prefix, or ALTER SYSTEM SET '
             'log_destination = ''stderr,csvlog''; SELECT pg_reload_conf(); a csvlog has no prefix.' END, retry_at = NULL,
           since = CASE WHEN x.readable = EXCLUDED.readable THEN x.since ELSE EXCLUDED.since END,
           file_name = EXCLUDED.file_name, log_format = EXCLUDED.log_format, position = EXCLUDED.position,
           file_size = EXCLUDED.file_size, modified_at = EXCLUDED.modified_at, head_length = EXCLUDED.head_length,
           head_hash = EXCLUDED.head_hash, last_read_at = EXCLUDED.last_read_at,
           last_record_at = coalesce(EXCLUDED.last_record_at, x.last_record_at),
           records_taken = x.records_taken + EXCLUDED.records_taken,
           records_unreadable = x.records_unreadable + EXCLUDED.records_unreadable,
           skipped_bytes = x.skipped_bytes + EXCLUDED.skipped_bytes, settled = EXCLUDED.settled, prefix = EXCLUDED.prefix,
           prefix_before = EXCLUDED.prefix_before, prefix_until = EXCLUDED.prefix_until;
    IF v_leaving AND v_finished AND NOT v_lingers THEN
      -- from here on the new one, with a minute of what both hold: a record is taken once
      UPDATE lock_log.state x SET file_name = NULL, log_format = NULL, position = NULL, head_length = NULL, head_hash = NULL WHERE x.state_id = 1;
      v_taken := v_taken + lock_log.read_server_log();
    END IF;
    RETURN v_taken;
  EXCEPTION
    WHEN lock_not_available THEN
      -- a table of our own is locked: that is no trouble of the log, and the caller knows what to do
      RAISE;
    WHEN insufficient_privilege THEN
      PERFORM lock_log.set_unreadable('log not readable: ' || lock_catalog.readable(SQLERRM),
        coalesce(lock_log.missing_rights(), 'The server''s own user must be able to read log_directory.'));
    WHEN OTHERS THEN
      -- not swallowed: the state keeps it, the pages show it, and the rest of the cycle goes on
      PERFORM lock_log.set_unreadable(format('log not readable: %s (SQLSTATE %s)', lock_catalog.readable(SQLERRM), SQLSTATE), lock_log.missing_rights());
  END;
  RETURN 0;
END
$$;
COMMENT ON FUNCTION lock_log.read_server_log() IS
  'Stores what the server''s log says about locks since the last call in lock_log.event; the number of records stored. At most '
  'a third of a second at once; what is left comes with the next call. Problems become the state shown by lock_log.status().';
