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
  v_plain text;
  v_numbers text[];
  v_count integer;
  v_row text;
BEGIN
  IF p_text ~ '^(?:transaction \d+|(?:extension of )?relation \d+ of database \d+|tuple \(\d+,\d+\) of relation \d+ of database \d+)$' THEN
    RETURN p_text;
  END IF;
  v_words := lock_log.escaped(p_text);
  v_plain := regexp_replace(p_text, '[^\x01-\x7f]', '~', 'g');
  v_numbers := ARRAY(SELECT m[1] FROM regexp_matches(v_plain, '(\d{1,19})', 'g') m);
  v_count := cardinality(v_numbers);
  IF lock_log.says(v_words, 'larger_first') THEN
    v_numbers := ARRAY(SELECT x.number FROM unnest(v_numbers) WITH ORDINALITY x(number, n) ORDER BY x.n DESC);
  END IF;
  v_row := v_numbers[1] || ',' || v_numbers[2];
  IF v_plain ~ '\(\d+, ?\d+\)' AND lock_log.says(v_words, 'larger_first') AND NOT lock_log.says(v_words, 'offset_first') THEN
    v_row := v_numbers[2] || ',' || v_numbers[1];
  END IF;
  RETURN CASE
    WHEN v_plain ~ '\[\d+,\d+,\d+,\d+\]' AND v_count = 4 THEN 'advisory lock ' || substring(v_plain FROM '\[[0-9,]+\]')
    WHEN v_plain ~ '\[\d+,\d+,\d+\]' AND v_count = 3 THEN 'user lock ' || substring(v_plain FROM '\[[0-9,]+\]')
    WHEN v_plain ~ '\(\d+, ?\d+\)' AND v_count = 4 THEN format('tuple (%s) of relation %s of database %s', v_row, v_numbers[3], v_numbers[4])
    WHEN v_plain ~ '\d+/\d+' AND v_count = 2 THEN 'virtual transaction ' || substring(v_plain FROM '\d+/\d+')
    WHEN v_plain ~ 'pg_database\.datfrozenxid' AND v_count = 1 THEN 'pg_database.datfrozenxid of database ' || v_numbers[1]
    WHEN lock_log.says(v_words, 'speculative') AND v_count = 2 THEN format('speculative token %s of transaction %s', v_numbers[1], v_numbers[2])
    WHEN lock_log.says(v_words, 'database') AND v_count = 2 THEN
      CASE WHEN lock_log.says(v_words, 'extension') THEN 'extension of ' ELSE '' END || format('relation %s of database %s', v_numbers[1], v_numbers[2])
    WHEN lock_log.says(v_words, 'database') AND v_count = 3 AND lock_log.says(v_words, 'page') THEN
      format('page %s of relation %s of database %s', v_numbers[1], v_numbers[2], v_numbers[3])
    WHEN lock_log.says(v_words, 'database') AND v_count = 3 AND lock_log.says(v_words, 'object') THEN
      format('object %s of class %s of database %s', v_numbers[1], v_numbers[2], v_numbers[3])
    WHEN v_count = 1 AND NOT lock_log.says(v_words, 'database') THEN 'transaction ' || v_numbers[1] END;
END
$$;
COMMENT ON FUNCTION lock_log.object_in_english(text) IS
  'The object of a lock as PostgreSQL names it in English, out of a text of any language that holds no other numbers; NULL where it is not known.';
