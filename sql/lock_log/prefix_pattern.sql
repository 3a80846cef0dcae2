-- log_line_prefix as a regular expression for a line (as bytea's escapes), and what each of its groups is. What people choose (names
-- of users, databases, applications) may hold anything, blanks and brackets, too: it ends where the rest fits. Behind the prefix
-- stands a label of any language, a colon and two blanks. Without counted repetitions: they make an expression ten times as dear.
CREATE OR REPLACE FUNCTION lock_log.prefix_pattern(p_prefix text, p_labels text[], OUT pattern text, OUT names text[])
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  -- as short as what follows allows
  c_zone constant text := '[A-Za-z+-][A-Za-z0-9:]+?';
  c_stamp constant text := '\d{4}-\d\d-\d\d \d\d:\d\d:\d\d';
  -- a translated label may have a full-width colon
  c_colon constant text := '(?::|\\357\\274\\232)';
  v_match text[];
  v_rest text;
  v_piece text;
  v_sessions_only boolean := false;
  v_open text;
BEGIN
  pattern := '^';
  names := '{}';
  FOR v_match, v_rest IN
    SELECT x.m, lead(x.m[3]) OVER (ORDER BY x.n)
      FROM regexp_matches(lock_log.escaped(p_prefix), '%(-?\d*)([A-Za-z%])|([^%]+)', 'g') WITH ORDINALITY x(m, n) ORDER BY x.n
  LOOP
    IF v_match[3] IS NOT NULL THEN
      pattern := pattern || regexp_replace(v_match[3], '([].^$*+?(){}|\\[])', '\\\1', 'g');
      CONTINUE;
    END IF;
    v_piece := CASE v_match[2]
      WHEN 'm' THEN c_stamp || '\.\d{3} ' || c_zone WHEN 't' THEN c_stamp || ' ' || c_zone WHEN 's' THEN c_stamp || ' ' || c_zone
      WHEN 'n' THEN '\d{9,11}\.\d{3}' WHEN 'p' THEN '\d+' WHEN 'c' THEN '[0-9a-f]+\.[0-9a-f]+' WHEN 'l' THEN '\d+'
      WHEN 'e' THEN '[0-9A-Z]{5}' WHEN 'v' THEN '[-0-9/]*' WHEN 'x' THEN '\d+' WHEN 'Q' THEN '-?\d+' WHEN 'P' THEN '\d*'
      -- with its port, which an address of IPv6 needs to be told from what follows
      WHEN 'r' THEN '\[local\]|[^ ()]+\(\d+\)|[^ ():]*' WHEN 'h' THEN '[^ ]*?' WHEN 'L' THEN '[^ ]*?'
      -- the name of a user may be an address: its last @ is the prefix's
      WHEN 'u' THEN CASE WHEN v_rest LIKE '@%' THEN '[^ ]*|[^@]*' ELSE '.*?' END
      WHEN 'd' THEN '.*?' WHEN 'a' THEN '.*?' WHEN 'b' THEN '.*?' WHEN 'i' THEN '.*?' END;
    IF v_match[2] = '%' THEN
      pattern := pattern || '%';
    ELSIF v_match[2] = 'q' AND NOT v_sessions_only THEN
      -- for a process without a session the prefix ends here
      v_sessions_only := true;
      v_open := names[cardinality(names)];
      pattern := pattern || '(?:';
    ELSIF v_piece IS NOT NULL THEN
      -- padded to a width: on the right where it is negative
      pattern := pattern || CASE WHEN v_match[1] ~ '^\d' THEN ' *' ELSE '' END || '(' || v_piece || ')' || CASE WHEN v_match[1] LIKE '-%' THEN ' *' ELSE '' END;
      names := names || CASE v_match[2] WHEN 'm' THEN 'time' WHEN 't' THEN 'time' WHEN 'n' THEN 'time' WHEN 'p' THEN 'pid'
        WHEN 'c' THEN 'session' WHEN 'e' THEN 'sqlstate' WHEN 'u' THEN 'user' WHEN 'd' THEN 'database' WHEN 'a' THEN 'application'
        WHEN 'r' THEN 'client' WHEN 'h' THEN 'client' ELSE 'other' END;
    END IF;
  END LOOP;
  IF v_sessions_only THEN
    pattern := pattern || ')?';
  END IF;
  IF v_open IS NULL OR p_prefix ~ '%-?\d*[A-Za-pr-z]$' THEN
    v_open := names[cardinality(names)];
  END IF;
  pattern := pattern || '(' || replace(array_to_string(p_labels || ''::text, '|'), '\', '\\') || '[^\s:]+) ?' || c_colon || '  (.*)$';
  -- where it ends with a value (or %q stands behind one), that value and the label are told apart by the label's word
  names := names || CASE WHEN p_prefix ~ '%-?\d*[A-Za-pr-z](%q)?$' OR p_prefix ~ '%-?\d*[A-Za-pr-z]%q' THEN ARRAY['open_label:' || v_open, 'text'] ELSE '{label,text}' END;
END
$$;
COMMENT ON FUNCTION lock_log.prefix_pattern(text, text[]) IS
  'Regular expression for the lines of a stderr log (as bytea''s escapes) that begin with this log_line_prefix and a label, and what its groups are. p_labels: '
  'those of two words that are there to be met (each costs something at each line).';
