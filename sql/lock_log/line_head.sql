-- A line of a stderr log that begins with the prefix: its fields, and what it is to its record by the label behind the prefix.
CREATE OR REPLACE FUNCTION lock_log.line_head(p_line text, p_patterns text[], p_names text[], OUT head jsonb, OUT part text)
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_line text := p_line;
  v_blanks boolean := false;
  v_groups text[];
  v_names text[] := p_names;
  v_which integer := 0;
  v_label text;
  v_known text;
  v_both text;
  v_name text;
BEGIN
  LOOP
    v_which := v_which + 1;
    v_groups := regexp_match(v_line, p_patterns[v_which]);
    EXIT WHEN v_groups IS NOT NULL;
    IF v_which = cardinality(p_patterns) THEN
      EXIT WHEN v_blanks;
      -- some labels lack the two blanks behind their colon
      v_blanks := true;
      v_line := regexp_replace(p_line, '(' || array_to_string(lock_log.words('label_without_blanks'), '|') || '): ?', '\1:  ');
      EXIT WHEN v_line = p_line;
      v_which := 0;
    END IF;
  END LOOP;
  IF v_groups IS NULL THEN
    RETURN;
  END IF;
  IF cardinality(p_patterns) > 1 THEN
    v_names := CASE v_which WHEN 1 THEN p_names[:cardinality(v_groups)] ELSE p_names[cardinality(p_names) - cardinality(v_groups) + 1:] END;
  END IF;
  head := jsonb_object(v_names, v_groups);
  IF NOT head ? 'pid' THEN
    -- the second half of %c is the process, in hexadecimal
    head := head || jsonb_build_object('hex', true, 'pid', ('x' || lpad(split_part(head ->> 'session', '.', 2), 8, '0'))::bit(32)::integer::text);
  END IF;
  v_name := v_names[cardinality(v_names) - 1];
  v_label := v_groups[cardinality(v_groups) - 1];
  IF v_name <> 'label' THEN
    -- 'open_label:' and the name of the value that it stands behind: only a word that is known tells where that one ends
    v_name := split_part(v_name, ':', 2);
    v_both := coalesce(head ->> v_name, '') || v_label;
    SELECT w INTO v_known FROM unnest(lock_log.words('severity') || lock_log.words('detail') || lock_log.words('context') || lock_log.words('statement') || lock_log.words('aside')) w
     WHERE right(v_both, length(w)) = w ORDER BY length(w) DESC LIMIT 1;
    IF v_known IS NULL AND strpos(v_both, '\') > 0 THEN
      SELECT w INTO v_known FROM unnest(lock_log.words('severity, not UTF-8') || lock_log.words('detail, not UTF-8') || lock_log.words('context, not UTF-8')
                                        || lock_log.words('statement, not UTF-8') || lock_log.words('aside, not UTF-8')) w
       WHERE right(v_both, length(w)) = w ORDER BY length(w) DESC LIMIT 1;
    END IF;
    head := head || jsonb_build_object('label', coalesce(v_known, v_label))
      || CASE WHEN v_known IS NOT NULL AND head ->> v_name || v_label IS NOT NULL THEN jsonb_build_object(v_name, left(v_both, -length(v_known))) ELSE '{}' END;
    v_label := coalesce(v_known, v_label);
  END IF;
  part := lock_log.label_part(v_label);
END
$$;
COMMENT ON FUNCTION lock_log.line_head(text, text[], text[]) IS
  'Fields of a line that fits one of these expressions of lock_log.prefix_pattern() (names: their groups, one after the other), NULL if it does not; part: message, '
  'detail, context, statement, aside (what is not needed), NULL for a label of no language that is known.';
