-- A line of a stderr log that begins with the prefix: its fields, and what it is to its record by the label behind the prefix.
CREATE OR REPLACE FUNCTION lock_log.line_head(p_line text, p_patterns text[], p_names jsonb, OUT head jsonb, OUT part text)
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_groups text[];
  v_which integer := 0;
  v_label text;
  v_known text;
  v_open text;
  v_last text;
BEGIN
  LOOP
    v_which := v_which + 1;
    v_groups := regexp_match(p_line, p_patterns[v_which]);
    EXIT WHEN v_groups IS NOT NULL;
    IF v_which = cardinality(p_patterns) THEN
      RETURN;
    END IF;
  END LOOP;
  SELECT jsonb_object_agg(x.name, v_groups[x.n]) INTO head
    FROM jsonb_array_elements_text(p_names -> (v_which - 1)) WITH ORDINALITY x(name, n) WHERE v_groups[x.n] IS NOT NULL;
  IF NOT head ? 'pid' THEN
    -- the second half of %c is the process, in hexadecimal
    head := head || jsonb_build_object('hex', true, 'pid', ('x' || lpad(split_part(head ->> 'session', '.', 2), 8, '0'))::bit(32)::integer::text);
  END IF;
  SELECT k INTO v_open FROM jsonb_object_keys(head) k WHERE k LIKE 'open_label:%';
  IF v_open IS NOT NULL THEN
    v_label := head ->> v_open;
    SELECT w INTO v_known FROM unnest(lock_log.words('severity') || lock_log.words('detail') || lock_log.words('context') || lock_log.words('statement') || lock_log.words('aside')) w
     WHERE right(v_label, length(w)) = w ORDER BY length(w) DESC LIMIT 1;
    v_last := split_part(v_open, ':', 2);
    head := head || jsonb_build_object('label', coalesce(v_known, v_label))
      || CASE WHEN length(v_known) < length(v_label) THEN jsonb_build_object(v_last, (head ->> v_last) || left(v_label, -length(v_known))) ELSE '{}' END;
  END IF;
  part := lock_log.label_part(head ->> 'label');
END
$$;
COMMENT ON FUNCTION lock_log.line_head(text, text[], jsonb) IS
  'Fields of a line that fits one of these expressions of lock_log.prefix_pattern() (names: an array of each one''s groups), NULL if it does not; part: message, '
  'detail, context, statement, aside (what is not needed), NULL for a label of no language that is known.';
