-- The object in a lock message ("transaction 733", "tuple (0,1) of relation 16385 of database 5"). By its shape, where
-- the words are of another language. As few regular expressions as will do: see lock_log.wait_in_words().
CREATE OR REPLACE FUNCTION lock_log.parse_object(
  p_text text, OUT lock_type text, OUT database_oid oid, OUT relation_oid oid, OUT page integer, OUT tuple integer,
  OUT transactionid bigint)
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  -- what stands in quotes, of any language, is a name, whatever digits it holds
  v_named boolean;
  v_numbers bigint[];
  v_count integer;
  v_row text[];
BEGIN
  -- what most locks are of
  IF p_text ~ '^transaction \d{1,18}$' THEN
    lock_type := 'transactionid'; transactionid := substr(p_text, 13)::bigint;
    RETURN;
  END IF;
  v_row := CASE WHEN p_text LIKE 'tuple (%' THEN regexp_match(p_text, '^tuple \((\d{1,9}),(\d{1,5})\) in relation "') END;
  IF v_row IS NOT NULL THEN
    -- the row that was worked on; which of its locks was waited for is not said
    page := v_row[1]::integer; tuple := v_row[2]::integer;
    RETURN;
  END IF;
  v_named := p_text ~ ('[' || lock_log.quotes() || ']');
  v_numbers := ARRAY(SELECT m[1]::bigint FROM regexp_matches(CASE WHEN NOT v_named THEN p_text END, '(\d{1,18})', 'g') m);
  v_count := cardinality(v_numbers);
  lock_type := CASE
    WHEN v_named THEN CASE WHEN p_text LIKE 'relation "%' THEN 'relation' WHEN p_text LIKE 'row in relation "%' THEN 'tuple' END
    WHEN strpos(p_text, '[') > 0 AND p_text ~ '\[\d+,\d+,\d+,\d+\]' THEN 'advisory'
    WHEN strpos(p_text, '[') > 0 AND p_text ~ '\[\d+,\d+,\d+\]' THEN 'userlock'
    WHEN v_count = 4 AND strpos(p_text, '(') > 0 AND p_text ~ '\(\d+,\d+\)' THEN 'tuple'
    WHEN v_count = 2 AND strpos(p_text, '/') > 0 AND p_text ~ '\d+/\d+' THEN 'virtualxid'
    WHEN p_text LIKE 'extension of relation%' THEN 'extend'
    WHEN p_text LIKE 'object%' THEN 'object'
    WHEN p_text LIKE 'page%' THEN 'page'
    WHEN p_text LIKE 'speculative%' THEN 'spectoken'
    WHEN p_text LIKE 'remote transaction%' THEN 'applytransaction'
    WHEN strpos(p_text, 'datfrozenxid') > 0 THEN 'frozenid'
    WHEN v_count = 1 THEN 'transactionid'
    WHEN v_count = 2 THEN 'relation'
    WHEN v_count = 3 THEN 'object' END;
  IF lock_type IN ('relation', 'extend') AND v_count = 2 THEN
    relation_oid := v_numbers[1]::oid; database_oid := v_numbers[2]::oid;
  ELSIF lock_type = 'tuple' THEN
    page := v_numbers[1]::integer; tuple := v_numbers[2]::integer;
    relation_oid := v_numbers[3]::oid; database_oid := v_numbers[4]::oid;
  ELSIF lock_type = 'page' AND v_count = 3 THEN
    page := v_numbers[1]::integer; relation_oid := v_numbers[2]::oid; database_oid := v_numbers[3]::oid;
  ELSIF lock_type = 'transactionid' THEN
    transactionid := v_numbers[1];
  ELSIF lock_type = 'advisory' THEN
    database_oid := v_numbers[1]::oid;
  END IF;
EXCEPTION WHEN data_exception THEN
  lock_type := NULL;
END
$$;
COMMENT ON FUNCTION lock_log.parse_object(text) IS
  'What kind of lock a log line names, and its relation, row or transaction; NULL where the text does not say.';
