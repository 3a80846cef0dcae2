-- Whether a log of stderr was written with a log_line_prefix: asked before anything of it is taken, because a piece without locks is passed over
-- unread. Words are none of the criteria: of a severity in any language only the two blanks behind its colon are certain.
CREATE OR REPLACE FUNCTION lock_log.prefix_fit(p_sample text, p_log_line_prefix text, OUT fitting integer, OUT heads integer)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_prefix text := coalesce(p_log_line_prefix, current_setting('log_line_prefix'));
  v_pattern text;
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  PERFORM lock_log.require_prefix(v_prefix);
  v_pattern := (lock_log.prefix_pattern(v_prefix, lock_log.words('label_of_two_words') || lock_log.words('label_of_two_words, not UTF-8'))).pattern;
  SELECT count(*) FILTER (WHERE l.line ~ v_pattern), count(*) FILTER (WHERE lock_log.looks_like_head(l.line))
    INTO fitting, heads
    FROM (SELECT rtrim(x.line, E'\r') AS line
            FROM unnest(string_to_array(p_sample, E'\n')) AS x (line)) l
   WHERE l.line NOT LIKE E'\t%';
END
$$;
COMMENT ON FUNCTION lock_log.prefix_fit(text, text) IS
  'Of the beginning of a log of stderr: lines that have this log_line_prefix (NULL: this server''s), and lines that look like the beginning of a '
  'record. Needs lock_admin_role.';
ALTER FUNCTION lock_log.prefix_fit(text, text) OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_log.prefix_fit(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_log.prefix_fit(text, text) TO lock_admin_role;
