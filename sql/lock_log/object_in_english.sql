-- Numbers and their shape are the same in all languages, their order is not: where the database stands first, the rest is the
-- other way round, too. In one of these a row's two numbers are, as well.
CREATE OR REPLACE FUNCTION lock_log.object_in_english(p_text text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_words text;
  v_numbers text[];
  v_count integer;
  v_larger_first boolean;
  v_brackets text;
  v_row text;
BEGIN
  IF left(p_text, 4) IN ('tran', 'exte', 'rela', 'tupl') AND p_text ~ '^(?:transaction \d+|(?:extension of )?relation \d+ of database \d+|tuple \(\d+,\d+\) of relation \d+ of database \d+)$' THEN
    RETURN p_text;
  END IF;
  v_words := lock_log.escaped(p_text);
  -- digits of other scripts are letters here
  v_numbers := ARRAY(SELECT m[1] FROM regexp_matches(p_text, '([0-9]{1,19})', 'g') m);
  v_count := cardinality(v_numbers);
  v_larger_first := lock_log.says(v_words, 'larger_first');
  IF v_larger_first THEN
    v_numbers := ARRAY(SELECT x.number FROM unnest(v_numbers) WITH ORDINALITY x(number, n) ORDER BY x.n DESC);
  END IF;
  -- [1,2,3,4] of an advisory lock, [1,2,3] of a user's
  v_brackets := CASE WHEN v_count IN (3, 4) AND strpos(p_text, '[') > 0 THEN substring(p_text FROM '\[[0-9]+(?:,[0-9]+){2,3}\]') END;
  IF v_count = 4 AND strpos(p_text, '(') > 0 AND p_text ~ '\([0-9]+, ?[0-9]+\)' THEN
    v_row := CASE WHEN v_larger_first AND NOT lock_log.says(v_words, 'offset_first') THEN v_numbers[2] || ',' || v_numbers[1]
                  ELSE v_numbers[1] || ',' || v_numbers[2] END;
  END IF;
  RETURN CASE
    WHEN v_brackets IS NOT NULL AND v_count = 1 + length(translate(v_brackets, '[]0123456789', '')) THEN
      CASE v_count WHEN 4 THEN 'advisory lock ' ELSE 'user lock ' END || v_brackets
    WHEN v_row IS NOT NULL THEN format('tuple (%s) of relation %s of database %s', v_row, v_numbers[3], v_numbers[4])
    WHEN v_count = 2 AND strpos(p_text, '/') > 0 AND p_text ~ '[0-9]/[0-9]' THEN 'virtual transaction ' || substring(p_text FROM '[0-9]+/[0-9]+')
    WHEN v_count = 1 AND strpos(p_text, 'pg_database.datfrozenxid') > 0 THEN 'pg_database.datfrozenxid of database ' || v_numbers[1]
    WHEN v_count = 2 AND lock_log.says(v_words, 'speculative') THEN format('speculative token %s of transaction %s', v_numbers[1], v_numbers[2])
    WHEN NOT lock_log.says(v_words, 'database') THEN CASE v_count WHEN 1 THEN 'transaction ' || v_numbers[1] END
    WHEN v_count = 2 THEN
      CASE WHEN lock_log.says(v_words, 'extension') THEN 'extension of ' ELSE '' END || format('relation %s of database %s', v_numbers[1], v_numbers[2])
    WHEN v_count = 3 AND lock_log.says(v_words, 'page') THEN format('page %s of relation %s of database %s', v_numbers[1], v_numbers[2], v_numbers[3])
    WHEN v_count = 3 AND lock_log.says(v_words, 'object') THEN format('object %s of class %s of database %s', v_numbers[1], v_numbers[2], v_numbers[3])
    WHEN v_count = 3 AND lock_log.says(v_words, 'subscription') THEN format('remote transaction %s of subscription %s of database %s', v_numbers[1], v_numbers[2], v_numbers[3]) END;
END
$$;
COMMENT ON FUNCTION lock_log.object_in_english(text) IS
  'The object of a lock as PostgreSQL names it in English, out of a text of any language that holds no other numbers; NULL where it is not known.';
