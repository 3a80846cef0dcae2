-- Cuts a piece of a stderr log (bytea's escapes) into records and keeps those that may be about locks. What may be is found in the
-- whole piece first, by lock modes and codes, which are the same in all languages, and by words; the prefix is looked at around
-- those places only, because it takes a hundred times as long, and in a sample (the gauge).
-- A record is one line with the prefix and a severity, then lines of the same process that begin with the prefix and another label
-- (DETAIL, CONTEXT, STATEMENT), each of them with what goes on from it (a tab). Lines of other processes may stand between where
-- nobody put them in order (no logging collector), so a record's lines are found by process. A line that neither has the prefix
-- nor goes on is of no record.
-- p_prefixes: the log_line_prefix, and one that some processes may still write (it was changed).
-- A part of v_lines is never taken as an array: the whole would be copied for it, at each record.
-- p_tail: 'more' (the piece was cut), 'now' (here the file ends for now), 'still' (as before, and nothing has come since), 'whole'
-- (nothing follows). At the first two a record that may go on is left for the next piece. p_utf8: all of it is valid UTF-8, so that no
-- words of other encodings need be looked for. p_places: say of each record where it begins; counting costs something at each line.
CREATE OR REPLACE FUNCTION lock_log.split_stderr(
  p_text text, p_tail text, p_prefixes text[], p_utf8 boolean, p_places boolean, OUT rest integer, OUT records text[], OUT unreadable integer, OUT heads integer)
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
  -- this many lines of others may stand between two lines of a record
  c_between constant integer := 24;
  c_sample constant integer := 30;
  -- stands for a word that was found; a log's own are taken out
  c_mark constant text := E'\x02';
  v_pattern record;
  v_patterns text[] := '{}';
  v_names text[] := '{}';
  v_lines text[] := string_to_array(p_text, E'\n');
  v_last integer := cardinality(v_lines);
  v_owners integer[];
  v_owner integer;
  v_used boolean[];
  v_main integer;
  v_j integer;
  v_line text;
  v_head record;
  v_next record;
  v_record jsonb;
  v_part text;
  v_pid text;
  v_found text;
  v_from integer;
  v_text text;
  v_goes_on text[];
  v_mine boolean;
  v_foreign integer;
  v_windows boolean;
  v_sampled boolean;
  v_counted integer := 1;
  v_bytes bigint := 0;
  v_before text;
  v_after text;
  v_word text;
  v_left text;
  v_open integer;
  v_worth text;
  v_labels text[];
BEGIN
  records := '{}';
  rest := 0;
  unreadable := 0;
  heads := 0;
  IF p_text = '' THEN
    RETURN;
  END IF;
  -- the last element is what follows the last line end: nothing, or a line not yet complete
  IF p_tail <> 'whole' OR v_lines[v_last] = '' THEN
    rest := length(v_lines[v_last]);
    v_last := v_last - 1;
  END IF;
  -- the words of all encodings are many
  v_worth := lock_log.worth_reading(CASE WHEN p_utf8 THEN 'stderr' ELSE 'stderr, not UTF-8' END);
  -- lines with a place to look at, by the line that they go on from
  IF p_text ~ v_worth THEN
    v_left := replace(p_text, c_mark, '');
    FOREACH v_word IN ARRAY lock_log.words('modes') LOOP
      v_left := replace(v_left, v_word, c_mark);
    END LOOP;
    -- so wide an expression is begun anew at each place that it finds: one search for each word, mostly up to five
    LOOP
      v_word := substring(v_left FROM v_worth);
      EXIT WHEN v_word IS NULL;
      -- something must stand in its place: a word within itself, a thousand times, would be a thousand rounds
      v_left := replace(v_left, v_word, c_mark);
    END LOOP;
    v_owner := 0;
    v_from := 0;
    v_j := 1;
    v_goes_on := string_to_array(v_left, c_mark);
    -- behind each but the last stands a mark
    FOREACH v_text IN ARRAY v_goes_on[:cardinality(v_goes_on) - 1] LOOP
      v_j := v_j + length(v_text) - length(replace(v_text, E'\n', ''));
      EXIT WHEN v_j > v_last;
      CONTINUE WHEN v_j = v_from;
      v_main := v_j;
      WHILE v_main > v_from AND left(v_lines[v_main], 1) = E'\t' LOOP
        v_main := v_main - 1;
      END LOOP;
      v_from := v_j;
      IF v_main > v_owner AND left(v_lines[v_main], 1) <> E'\t' THEN
        v_owner := v_main;
        v_owners := array_append(v_owners, v_owner);
      END IF;
    END LOOP;
  END IF;
  -- a label of two words makes each line dearer: where lines are looked at, those that stand here are enough
  v_labels := lock_log.words('label_of_two_words') || CASE WHEN p_utf8 THEN '{}' ELSE lock_log.words('label_of_two_words, not UTF-8') END;
  IF v_owners IS NOT NULL THEN
    v_labels := ARRAY(SELECT l FROM unnest(v_labels) l WHERE strpos(p_text, l) > 0);
  END IF;
  FOR v_pattern IN SELECT p.* FROM unnest(p_prefixes) WITH ORDINALITY x(prefix, n) CROSS JOIN LATERAL lock_log.prefix_pattern(x.prefix, v_labels) p ORDER BY x.n LOOP
    v_patterns := array_append(v_patterns, v_pattern.pattern);
    v_names := v_names || v_pattern.names;
  END LOOP;

  -- the gauge: of the lines that look like the head of a record, as many as have the prefix
  SELECT count(*) FILTER (WHERE g.fits), count(*) FILTER (WHERE NOT g.fits AND lock_log.looks_like_head(g.line)) INTO heads, unreadable
    FROM (SELECT x.line, x.line ~ ANY (v_patterns) AS fits
            FROM unnest(v_lines) WITH ORDINALITY x(line, n)
           WHERE x.n <= v_last AND (x.n <= c_sample OR x.n > v_last - c_sample) AND left(x.line, 1) <> E'\t') g;

  -- what stands around the process in the prefix, so that the same number elsewhere in a line is seldom taken for it
  v_before := coalesce(substring(p_prefixes[1] FROM '([^%A-Za-z0-9])%p'), '');
  v_after := coalesce(substring(p_prefixes[1] FROM '%p([^%])'), '');
  IF cardinality(p_prefixes) > 1 THEN
    v_before := '';
    v_after := '';
  END IF;
  v_used := array_fill(false, ARRAY[greatest(v_last, 1)]);
  FOREACH v_owner IN ARRAY coalesce(v_owners, '{}') LOOP
    CONTINUE WHEN v_used[v_owner];
    v_head := lock_log.line_head(rtrim(v_lines[v_owner], E'\r'), v_patterns, v_names);
    v_sampled := v_owner <= c_sample OR v_owner > v_last - c_sample;
    IF v_head.head IS NULL THEN
      unreadable := unreadable + (NOT v_sampled AND lock_log.looks_like_head(v_lines[v_owner]))::integer;
      CONTINUE;
    END IF;
    heads := heads + (NOT v_sampled)::integer;
    v_main := v_owner;
    v_pid := v_head.head ->> 'pid';
    -- as it stands in the line
    v_found := CASE WHEN v_head.head ? 'hex' THEN '.' || to_hex(v_pid::integer) ELSE v_before || v_pid || v_after END;
    IF v_head.part IS DISTINCT FROM 'message' THEN
      -- a label of a language that is not known is a record's beginning where no line of the same process and moment is before it
      v_j := v_owner - 1;
      v_foreign := 0;
      WHILE v_j >= 1 AND v_foreign <= c_between LOOP
        v_line := v_lines[v_j];
        IF left(v_line, 1) <> E'\t' THEN
          IF strpos(v_line, v_found) > 0 THEN
            v_next := lock_log.line_head(rtrim(v_line, E'\r'), v_patterns, v_names);
            IF v_next.head ->> 'pid' = v_pid THEN
              EXIT WHEN v_head.part IS NULL AND v_next.head -> 'time' <> v_head.head -> 'time';
              v_main := v_j;
              EXIT WHEN v_next.part = 'message';
            END IF;
          END IF;
          v_foreign := v_foreign + 1;
        END IF;
        v_j := v_j - 1;
      END LOOP;
      CONTINUE WHEN v_used[v_main];
      v_head := lock_log.line_head(rtrim(v_lines[v_main], E'\r'), v_patterns, v_names);
      -- what it belongs to was before this piece
      CONTINUE WHEN v_head.part <> 'message';
    END IF;

    v_windows := right(v_lines[v_main], 1) = E'\r';
    v_record := v_head.head || jsonb_build_object('message', rtrim(v_head.head ->> 'text', E'\r'));
    IF p_places OR v_head.head ->> 'time' !~ '\.\d' THEN
      -- of two of the same second only their place tells that they are two
      WHILE v_counted < v_main LOOP
        v_bytes := v_bytes + length(decode(v_lines[v_counted], 'escape')) + 1;
        v_counted := v_counted + 1;
      END LOOP;
      v_record := v_record || jsonb_build_object('at', v_bytes);
    END IF;
    v_used[v_main] := true;
    v_part := 'message';
    v_mine := true;
    v_foreign := 0;
    v_open := v_main;
    v_j := v_main + 1;
    WHILE v_j <= v_last LOOP
      IF NOT v_mine AND strpos(v_lines[v_j], v_found) = 0 THEN
        -- most lines here are of others
        IF left(v_lines[v_j], 1) <> E'\t' THEN
          v_foreign := v_foreign + 1;
          EXIT WHEN v_foreign > c_between;
        END IF;
      ELSIF left(v_lines[v_j], 1) = E'\t' THEN
        v_goes_on := ARRAY['', v_lines[v_j]];
        WHILE v_j < v_last AND left(v_lines[v_j + 1], 1) = E'\t' LOOP
          v_j := v_j + 1;
          v_goes_on := array_append(v_goes_on, v_lines[v_j]);
        END LOOP;
        IF v_mine THEN
          v_text := array_to_string(v_goes_on, E'\n');
          IF v_windows THEN
            v_text := replace(v_text || E'\n', E'\r\n', E'\n');
            v_text := left(v_text, -1);
          END IF;
          v_record := jsonb_set(v_record, ARRAY[v_part], to_jsonb((v_record ->> v_part) || replace(v_text, E'\n\t', E'\n')));
        END IF;
      ELSE
        IF v_mine AND v_part = 'statement' THEN
          -- nothing of a record comes behind its statement
          v_open := NULL;
          EXIT;
        END IF;
        v_mine := false;
        IF strpos(v_lines[v_j], v_found) > 0 THEN
          v_line := CASE WHEN v_windows AND right(v_lines[v_j], 1) = E'\r' THEN left(v_lines[v_j], -1) ELSE v_lines[v_j] END;
          v_next := lock_log.line_head(v_line, v_patterns, v_names);
          IF v_next.head ->> 'pid' = v_pid THEN
            IF v_next.part = 'message' OR v_next.part IS NULL AND v_next.head -> 'time' <> v_head.head -> 'time' THEN
              v_open := NULL;
              EXIT;
            END IF;
            v_mine := true;
            v_used[v_j] := true;
            v_foreign := 0;
            -- an edge of a ring is a DETAIL in whatever language
            v_part := coalesce(v_next.part, CASE WHEN lock_log.says(v_next.head ->> 'text', 'modes') THEN 'detail' ELSE 'aside' END);
            v_record := v_record || jsonb_build_object(v_part, v_next.head ->> 'text');
          END IF;
        END IF;
        IF NOT v_mine THEN
          v_foreign := v_foreign + 1;
          EXIT WHEN v_foreign > c_between;
        END IF;
      END IF;
      v_j := v_j + 1;
    END LOOP;
    IF v_open IS NULL OR p_tail IN ('still', 'whole') OR v_foreign > (CASE p_tail WHEN 'more' THEN c_between ELSE 0 END) THEN
      records := array_append(records, v_record::text);
    ELSE
      EXIT;
    END IF;
    v_open := NULL;
  END LOOP;

  -- what stands at the end may go on in any case: its next line may be what shows that it is about locks
  IF v_open IS NULL AND p_tail IN ('now', 'more') THEN
    v_j := v_last;
    WHILE v_j > greatest(0, v_last - 1000) LOOP
      IF left(v_lines[v_j], 1) <> E'\t' THEN
        v_next := lock_log.line_head(rtrim(v_lines[v_j], E'\r'), v_patterns, v_names);
        EXIT WHEN v_next.head IS NULL;
        IF v_next.part IS NULL OR v_next.part = 'message' THEN
          v_open := v_j;
          EXIT;
        END IF;
      END IF;
      v_j := v_j - 1;
    END LOOP;
  END IF;
  IF v_open IS NOT NULL THEN
    rest := rest + length(array_to_string(v_lines[v_open:v_last], E'\n')) + 1;
  END IF;
END
$$;
COMMENT ON FUNCTION lock_log.split_stderr(text, text, text[], boolean, boolean) IS
  'Records of a piece of a stderr log that may be about locks (JSON of the prefix''s fields, message, detail, context and statement, each as '
  'bytea''s escapes; at: the byte of the piece, with p_places or a time of whole seconds), and how many characters at the end are left for the next piece; heads: of the lines that were looked at, how many have the '
  'prefix, unreadable: how many look like the beginning of a record and have not.';
