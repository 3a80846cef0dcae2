-- What is known of each member of a ring, from what a look and the log say of it and, for a deadlock of the current database, from its catalog.
-- thing: what it waits for, as it is put in an order; NULL where that is not known. guessed: by the words of the statement alone.
CREATE OR REPLACE FUNCTION lock_engine.deadlock_ring(p_participants jsonb)
RETURNS TABLE (n bigint, pid text, blocked_by text, who text, query text, class text, verb text, type text, mode text, queued boolean,
               thing text, words text, own_table text, row_key text, row_mode text, is_check boolean, is_key boolean, is_exclusion boolean, guessed boolean,
               alone boolean, print text, here boolean, held text, held_words text, held_type text, held_queued boolean)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  v_here constant boolean := (SELECT coalesce(bool_and(coalesce(x.e ->> 'database' = lock_catalog.readable(current_database()::text), false)), false)
                                FROM jsonb_array_elements(p_participants) x(e));
BEGIN
  RETURN QUERY
  WITH raw AS (
    SELECT x.e, x.n, x.e ->> 'query' AS query, x.e ->> 'lock_type' AS type, coalesce(x.e ->> 'context', '') AS context,
           x.e ->> 'lock_type' IN ('transactionid', 'tuple') AS of_row, lock_catalog.statement_class(x.e ->> 'query') AS class,
           -- a foreign key's own statement
           coalesce(x.e ->> 'context', '') ~ '\mSELECT 1 FROM ONLY [^\n]* x WHERE [^\n]* FOR KEY SHARE OF x' AS checks,
           (lock_catalog.leading_words(x.e ->> 'query', 1))[1] AS verb, lower(lock_engine.hide_literals(left(x.e ->> 'query', 2000))) AS bare
      FROM jsonb_array_elements(p_participants) WITH ORDINALITY x(e, n)),
  told AS (
    SELECT r.*, CASE WHEN r.bare ~ '^[\s(]*with\M' THEN NULL
                     WHEN NOT r.of_row OR r.verb IN ('insert', 'update', 'delete', 'merge', 'copy')
                       OR r.bare ~ '\mfor\s+(?:no\s+key\s+update|update|key\s+share|share)\M' AND r.verb = 'select'
                            -- the first FROM is the statement's own only where it is the only one, outside parentheses, and names one table
                            AND r.bare ~ '^[\s(]*select\M[^()]*?\mfrom\M' AND r.bare !~ '\mfrom\M.*\mfrom\M'
                            AND r.bare !~ '\mfor\s+(?:no\s+key\s+update|update|key\s+share|share)\s+of\M'
                       THEN lock_engine.statement_table(r.query) END AS written,
           -- before a row is waited for its own lock is taken, which tells how it is wanted
           coalesce(r.e ->> 'row_mode',
                    CASE WHEN r.type = 'tuple' THEN CASE r.e ->> 'wanted_mode' WHEN 'AccessShareLock' THEN 'FOR KEY SHARE' WHEN 'RowShareLock' THEN 'FOR SHARE'
                                                      WHEN 'ExclusiveLock' THEN 'FOR NO KEY UPDATE' WHEN 'AccessExclusiveLock' THEN 'FOR UPDATE' END END,
                    CASE WHEN r.checks THEN 'FOR KEY SHARE' END,
                    CASE WHEN r.of_row AND r.verb = 'select' THEN upper(regexp_replace(substring(r.bare FROM '\mfor\s+(?:no\s+key\s+update|update|key\s+share|share)\M'), '\s+', ' ', 'g'))
                         WHEN r.of_row AND r.verb = 'delete' THEN 'FOR UPDATE' END) AS row_mode
      FROM raw r),
  named AS (
    SELECT t.*, CASE WHEN v_here THEN lock_engine.table_named(t.written)
                     -- what one statement calls runs is the public.runs of the others
                     ELSE coalesce((SELECT min(coalesce(o.e ->> 'table', o.written)) FROM told o
                                     WHERE strpos(t.written, '.') = 0 AND split_part(coalesce(o.e ->> 'table', o.written), '.', 2) = t.written), t.written) END AS own_table,
           CASE WHEN t.of_row AND v_here THEN coalesce(lock_engine.table_named(t.e ->> 'table'), t.e ->> 'table') ELSE t.e ->> 'table' END AS seen_table,
           t.row_mode = 'FOR KEY SHARE' AND (t.checks OR t.verb IN ('insert', 'update', 'merge', 'copy', 'commit', 'end')) AS is_check
      FROM told t),
  judged AS (
    SELECT m.*, f.acts, f.known, f.refers, f.cascades,
           m.context ~ 'while checking exclusion constraint|while rechecking exclusion constraint' AS is_exclusion,
           m.context ~ '(?:^|\n)while inserting index tuple'
             -- who waits for a row has taken its own lock on it, which a look shows; the log does not
             OR m.of_row AND m.verb IN ('insert', 'merge', 'copy') AND NOT m.e ? 'tuple' AND NOT coalesce(m.is_check, false) AND NOT coalesce(f.acts, false)
               AND (m.e ? 'pids' OR f.refers IS NOT TRUE) AS is_key
      FROM named m LEFT JOIN LATERAL lock_engine.table_facts(m.own_table, NULL) f ON v_here AND m.own_table IS NOT NULL),
  members AS MATERIALIZED (
    SELECT j.n, j.e ->> 'pid' AS pid, j.e ->> 'blocked_by' AS blocked_by, coalesce(nullif(j.e ->> 'application', ''), j.e ->> 'user', 'session'), j.query, j.class, j.verb, j.type,
           j.e ->> 'wanted_mode', coalesce((j.e ->> 'behind_in_queue')::boolean, false) AS queued,
           t.thing, CASE WHEN j.of_row AND t.thing IS NOT NULL THEN 'rows of ' || t.thing ELSE j.e ->> 'wanted' END AS words,
           j.own_table, CASE WHEN j.e ? 'tuple' AND NOT j.is_key THEN concat_ws(':', coalesce(j.e ->> 'table', j.e ->> 'relation_oid', t.thing), j.e ->> 'page', j.e ->> 'tuple') END,
           j.row_mode, coalesce(j.is_check, false), coalesce(j.is_key, false), coalesce(j.is_exclusion, false),
           t.thing IS NOT NULL AND j.of_row AND j.seen_table IS NULL AND (
             NOT coalesce(j.known, false) OR j.verb IN ('insert', 'update', 'merge', 'copy') AND j.refers AND j.context !~ '(?:^|\n)while inserting index tuple'
             OR j.verb IN ('update', 'delete') AND j.cascades OR j.verb = 'select' AND substring(j.bare FROM '\mfrom\M(.*?)(?:\mwhere\M|\morder\M|\mfor\M|$)') ~ ',|\mjoin\M'),
           (j.e ->> 'xact_start')::timestamptz = (j.e ->> 'query_start')::timestamptz, lock_engine.query_fingerprint(left(j.query, 900)), v_here
      FROM judged j
      CROSS JOIN LATERAL (
        SELECT CASE WHEN j.of_row THEN coalesce(j.seen_table, CASE WHEN NOT coalesce(j.acts, false) AND (j.is_key OR j.verb NOT IN ('insert', 'merge', 'copy')) THEN j.own_table END)
                    WHEN j.type = 'relation' THEN coalesce(j.e ->> 'table', j.e ->> 'wanted')
                    WHEN j.type <> 'virtualxid' THEN j.e ->> 'wanted' END AS thing) t)
  SELECT m.*, b.thing, b.words, b.type, b.queued
    -- what each holds is what the one behind it wants
    FROM members m LEFT JOIN members b ON b.blocked_by = m.pid ORDER BY m.n;
END
$$;
COMMENT ON FUNCTION lock_engine.deadlock_ring(jsonb) IS
  'Each member of a ring: what it waits for, how, by which statement, and what of that is certain. Called by lock_engine.deadlock_suggestion().';
