-- Cuts a piece of log into records and keeps those that may be about locks. csvlog: a record ends at a line end with an
-- even number of quotes so far. A record that does not begin as one shows that an earlier one was cut short (a crash):
-- then reading goes on at the next line that does. jsonlog: a line each.
CREATE OR REPLACE FUNCTION lock_log.split(
  p_format text, p_text text, p_whole boolean, OUT rest integer, OUT records text[], OUT unreadable integer)
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
  c_wanted constant text := lock_log.worth_reading('csvlog');
  c_csv constant text := '^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [^,"\s]+,';
  v_lines text[] := string_to_array(p_text, E'\n');
  v_last integer := cardinality(v_lines);
  v_from integer := 1;
  v_bad integer;
  v_before integer;
  v_open integer;
  v_some text[];
BEGIN
  records := '{}';
  unreadable := 0;
  rest := 0;
  -- the last element is what follows the last line end: nothing, or a line not yet complete
  IF NOT p_whole OR v_lines[v_last] = '' THEN
    rest := length(v_lines[v_last]);
    v_last := v_last - 1;
  END IF;
  IF v_last < 1 THEN
    rest := length(p_text);
    RETURN;
  END IF;

  IF p_format = 'jsonlog' THEN
    SELECT coalesce(array_agg(l.line ORDER BY l.n), '{}') INTO records
      FROM unnest(v_lines[1:v_last]) WITH ORDINALITY l(line, n) WHERE l.line ~ c_wanted;
    RETURN;
  END IF;

  LOOP
    WITH l AS (
      SELECT x.line, x.n + v_from - 1 AS n,
             sum(length(x.line) - length(replace(x.line, '"', ''))) OVER (ORDER BY x.n) AS quotes
        FROM unnest(v_lines[v_from:v_last]) WITH ORDINALITY x(line, n)),
    b AS (SELECT l.line, l.n, l.quotes, coalesce(lag(l.quotes) OVER (ORDER BY l.n), 0) % 2 = 0 AS head FROM l),
    r AS (SELECT b.*, count(*) FILTER (WHERE b.head) OVER (ORDER BY b.n) AS record FROM b),
    g AS (
      SELECT r.record, min(r.n) AS first, max(r.quotes) AS quotes, string_agg(r.line, E'\n' ORDER BY r.n) AS text
        FROM r GROUP BY r.record),
    bad AS (SELECT min(g.record) AS record, min(g.first) AS first FROM g WHERE g.text <> '' AND g.text !~ c_csv)
    SELECT bad.first, (SELECT max(g.first) FROM g WHERE g.record < bad.record),
           (SELECT max(g.first) FROM g WHERE g.quotes % 2 = 1 AND g.record = (SELECT max(x.record) FROM g x)),
           (SELECT array_agg(g.text ORDER BY g.record) FROM g
             WHERE g.text ~ c_wanted AND g.quotes % 2 = 0
               -- the one before what is none may have been cut short and hold others: it counts if it has as many fields as one has
               AND (bad.record IS NULL OR g.record < bad.record - 1 OR g.record = bad.record - 1
                    AND (SELECT count(*) FROM regexp_matches(g.text, '(?:^|,)(?:"(?:[^"]|"")*"|[^",]*)', 'g')) IN (23, 24, 26)))
      INTO v_bad, v_before, v_open, v_some FROM bad;
    records := records || coalesce(v_some, '{}');
    EXIT WHEN v_bad IS NULL;
    unreadable := unreadable + 1;
    v_before := coalesce(v_before, v_bad);
    SELECT min(x.n) + v_before INTO v_from
      FROM unnest(v_lines[v_before + 1:v_last]) WITH ORDINALITY x(line, n) WHERE x.line ~ c_csv;
    EXIT WHEN v_from IS NULL;
  END LOOP;
  IF v_bad IS NULL AND v_open IS NOT NULL THEN
    rest := rest + length(array_to_string(v_lines[v_open:v_last], E'\n')) + 1;
  END IF;
END
$$;
COMMENT ON FUNCTION lock_log.split(text, text, boolean) IS
  'Records that may be about locks, how many characters at the end belong to a record not yet complete, and how many records '
  'were cut short or are of no known form. p_whole: nothing follows this piece.';
