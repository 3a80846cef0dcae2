-- The DETAIL of a deadlock: first one line an edge, each blocker being the next line's waiter and the last blocker the
-- first waiter; then "Process P: statement" for each, in the same order. By position only: a statement may contain lines
-- that look like either. The words may be of any language.
CREATE OR REPLACE FUNCTION lock_log.parse_deadlock(p_detail text)
RETURNS jsonb
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  -- Translated messages may have a full-width colon; only UTF8 can hold one, and this file has to install anywhere.
  v_wide_colon constant text := lock_log.letter('\xefbc9a');
  v_lines text[] := string_to_array(p_detail, E'\n');
  v_match text[];
  v_pids integer[] := '{}';
  v_edges jsonb := '[]';
  v_next integer := 1;
  v_closed boolean := false;
  v_starts integer[] := '{}';
  v_i integer;
  v_line integer;
  v_ambiguous boolean := false;
  v_marker text;
  v_mode text;
  v_statements jsonb := '{}';
BEGIN
  WHILE v_next <= cardinality(v_lines) AND NOT v_closed LOOP
    v_match := regexp_match(lock_log.without_markers(v_lines[v_next]), '^\D*(\d{1,9})(\D.*\D)(\d{1,9})\D{0,20}$');
    EXIT WHEN v_match IS NULL OR v_lines[v_next] !~ '[A-Za-z]+Lock';
    EXIT WHEN v_next > 1 AND v_match[1]::integer <> (v_edges -> -1 ->> 'blocker')::integer;
    v_mode := substring(v_match[2] FROM '[A-Za-z]+Lock');
    v_pids := v_pids || v_match[1]::integer;
    v_edges := v_edges || jsonb_build_array(jsonb_build_object(
      'pid', v_match[1]::integer, 'mode', v_mode, 'blocker', v_match[3]::integer,
      'object', coalesce(substring(v_match[2] FROM 'Lock on (.*); blocked by process $'),
                         lock_log.object_in_english(replace(v_match[2], v_mode, ' ')), btrim(replace(v_match[2], v_mode, ''), ' ;,'))));
    v_closed := v_match[3]::integer = v_pids[1];
    v_next := v_next + 1;
  END LOOP;
  IF NOT v_closed THEN
    RETURN NULL;
  END IF;
  -- where each statement begins; more than one place possible: say so and take the first
  v_line := v_next;
  FOR v_i IN 1 .. cardinality(v_pids) LOOP
    v_marker := '^[^0-9:' || v_wide_colon || ']*' || v_pids[v_i] || ' ?[:' || v_wide_colon || '] ?';
    WHILE v_line <= cardinality(v_lines) AND v_lines[v_line] !~ v_marker LOOP
      v_line := v_line + 1;
    END LOOP;
    EXIT WHEN v_line > cardinality(v_lines);
    IF v_i > 1 AND EXISTS (SELECT FROM generate_series(v_line + 1, cardinality(v_lines)) n WHERE v_lines[n] ~ v_marker) THEN
      v_ambiguous := true;
    END IF;
    v_starts := v_starts || v_line;
    v_line := v_line + 1;
  END LOOP;
  FOR v_i IN 1 .. cardinality(v_starts) LOOP
    v_statements := v_statements || jsonb_build_object(v_pids[v_i]::text, regexp_replace(
      array_to_string(v_lines[v_starts[v_i] : coalesce(v_starts[v_i + 1] - 1, cardinality(v_lines))], E'\n'),
      '^[^0-9:' || v_wide_colon || ']*\d+ ?[:' || v_wide_colon || '] ?', ''));
  END LOOP;
  RETURN jsonb_build_object('edges', v_edges, 'statements', v_statements, 'ambiguous', v_ambiguous);
END
$$;
COMMENT ON FUNCTION lock_log.parse_deadlock(text) IS
  'Edges (pid, mode, object, blocker) and statements by pid of a deadlock''s DETAIL; NULL if its edges do not close a cycle. '
  'ambiguous: a statement holds a line that could be the beginning of the next.';
