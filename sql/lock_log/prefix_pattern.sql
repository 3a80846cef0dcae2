-- log_line_prefix as a regular expression for the beginning of a line, and the names of its groups in order.
CREATE OR REPLACE FUNCTION lock_log.prefix_pattern(p_prefix text, OUT pattern text, OUT names text[])
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  -- Translated messages may have a full-width colon; only UTF8 can hold one, and this file has to install anywhere.
  v_wide_colon constant text := CASE WHEN getdatabaseencoding() = 'UTF8' THEN chr(65306) ELSE '' END;
  v_match text[];
  v_letter text;
  v_end text;
  v_piece text;
  v_sessions_only boolean := false;
BEGIN
  pattern := '^';
  names := '{}';
  FOR v_match IN
    SELECT m FROM regexp_matches(p_prefix, '%(-?\d*)([A-Za-z%])([^%]?)|([^%]+)', 'g') m
  LOOP
    IF v_match[4] IS NOT NULL THEN
      pattern := pattern || regexp_replace(v_match[4], '([].^$*+?(){}|\\[])', '\\\1', 'g');
      CONTINUE;
    END IF;
    v_letter := v_match[2];
    -- what users choose (names) ends at the character that follows it in the prefix
    v_end := CASE WHEN coalesce(v_match[3], '') = '' THEN ' ' ELSE v_match[3] END;
    v_piece := CASE v_letter
      WHEN 'm' THEN '(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [^ ]+)' WHEN 't' THEN '(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [^ ]+)'
      WHEN 'n' THEN '(\d{9,11}\.\d{3})' WHEN 'p' THEN '(\d+)' WHEN 'c' THEN '([0-9a-f]+\.[0-9a-f]+)' WHEN 'l' THEN '(\d+)'
      WHEN 'e' THEN '([0-9A-Z]{5})' WHEN 's' THEN '(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [^ ]+)' WHEN 'v' THEN '([-0-9/]*)'
      WHEN 'x' THEN '(\d+)' WHEN 'Q' THEN '(-?\d+)' WHEN 'P' THEN '(\d*)'
      WHEN 'u' THEN '' WHEN 'd' THEN '' WHEN 'a' THEN '' WHEN 'r' THEN '' WHEN 'h' THEN '' WHEN 'b' THEN '' WHEN 'i' THEN ''
      WHEN 'L' THEN '' ELSE NULL END;
    IF v_letter = '%' THEN
      pattern := pattern || '%';
    ELSIF v_letter = 'q' AND NOT v_sessions_only THEN
      -- for a process without a session the prefix ends here
      v_sessions_only := true;
      pattern := pattern || '(?:';
    ELSIF v_piece IS NOT NULL THEN
      IF v_piece = '' THEN
        v_piece := '([^' || CASE WHEN v_end IN (']', '^', '\', '-') THEN '\' || v_end ELSE v_end END || ']*)';
      END IF;
      pattern := pattern || CASE WHEN v_match[1] <> '' THEN ' *' || v_piece || ' *' ELSE v_piece END;
      names := names || CASE v_letter WHEN 'm' THEN 'time' WHEN 't' THEN 'time' WHEN 'n' THEN 'time' WHEN 'p' THEN 'pid'
        WHEN 'c' THEN 'session' WHEN 'e' THEN 'sqlstate' WHEN 'u' THEN 'user' WHEN 'd' THEN 'database' WHEN 'a' THEN 'application'
        WHEN 'r' THEN 'client' WHEN 'h' THEN 'client' WHEN 'l' THEN 'line' ELSE 'other' END;
    END IF;
    IF v_match[3] <> '' THEN
      pattern := pattern || regexp_replace(v_match[3], '([].^$*+?(){}|\\[])', '\\\1', 'g');
    END IF;
  END LOOP;
  IF v_sessions_only THEN
    pattern := pattern || ')?';
  END IF;
  -- then the severity, the SQLSTATE where log_error_verbosity is verbose, and the text
  pattern := pattern || '([^\s:' || v_wide_colon || ']{2,20})[:' || v_wide_colon || ']  ?(.*)$';
  names := names || '{severity,text}';
END
$$;
COMMENT ON FUNCTION lock_log.prefix_pattern(text) IS
  'Regular expression for the first line of a record of a stderr log with this log_line_prefix, and what each group is.';
