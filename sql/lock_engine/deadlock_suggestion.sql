-- How to avoid this deadlock, from its ring alone. Says so where nothing can be concluded.
CREATE OR REPLACE FUNCTION lock_engine.deadlock_suggestion(p_participants jsonb)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  p record;
  v_order text;
  v_key text;
  v_reference text;
BEGIN
  IF EXISTS (SELECT FROM jsonb_array_elements(p_participants) x WHERE x ? 'caught')
     AND EXISTS (SELECT FROM jsonb_array_elements(p_participants) x WHERE NOT x ? 'blocked_by') THEN
    RETURN 'Nothing can be concluded about the ring: the application caught the error, so that it is not in the log. Where it is a retry, '
      'let the handler raise it again (RAISE) when it gives up, or watch: the loop sees rings while they live.';
  END IF;
  WITH raw AS (
    SELECT x.e, x.n, replace(coalesce(x.e ->> 'table', lock_engine.statement_table(x.e ->> 'query')), '"', '') AS named
      FROM jsonb_array_elements(p_participants) WITH ORDINALITY x(e, n)),
  named AS (
    -- one table is one table: what one statement calls runs is the public.runs of the others
    SELECT r.e, r.n, coalesce((SELECT min(o.named) FROM raw o WHERE strpos(r.named, '.') = 0 AND split_part(o.named, '.', 2) = r.named), r.named) AS table_name
      FROM raw r),
  m AS (
    SELECT (x.e ->> 'pid') AS pid, x.e ->> 'blocked_by' AS blocked_by, x.e ->> 'wanted_mode' AS mode, x.e ->> 'lock_type' AS type,
           x.table_name, lock_catalog.statement_class(x.e ->> 'query') AS class,
           (lock_catalog.leading_words(x.e ->> 'query', 1))[1] AS verb,
           x.e ->> 'wanted' AS wanted, x.e ->> 'query' AS query, x.e ->> 'context' AS context,
           coalesce(nullif(x.e ->> 'application', ''), x.e ->> 'user', 'session') AS who,
           lock_engine.query_fingerprint(left(x.e ->> 'query', 900)) AS print,
           concat_ws(':', x.table_name, x.e ->> 'page', x.e ->> 'tuple') AS row_key, x.e ? 'tuple' AS row_known, x.n
      FROM named x),
  h AS (
    -- what each holds is what the one behind it wants
    SELECT m.*, b.table_name AS held_table, b.wanted AS held, b.type AS held_type FROM m LEFT JOIN m b ON b.blocked_by = m.pid)
  SELECT count(*) AS n,
         bool_and(h.type IN ('transactionid', 'tuple')) AS rows,
         bool_and(h.type = 'advisory') AS advisory,
         bool_and(h.type = 'relation') AND count(DISTINCT h.wanted) = 1 AS one_relation,
         bool_or(h.type = 'relation' AND h.mode IN ('AccessExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock')
                 AND h.verb <> 'lock' AND h.class IN ('definition', 'concurrent_ddl', 'maintenance')) AS ddl,
         bool_or(h.class = 'concurrent_ddl' AND h.type = 'virtualxid') AS concurrently,
         bool_and(h.verb = 'insert' AND h.type = 'transactionid') AND bool_or(h.context ~ 'inserting index tuple') AS inserts,
         bool_and(h.row_known) AND count(DISTINCT h.row_key) > 1 AS other_rows,
         bool_and(h.print IS NOT NULL) AND count(DISTINCT h.print) = 1 AS one_statement,
         bool_and(h.row_known) AND count(DISTINCT h.row_key) = 1 AS one_row,
         bool_or(h.context ~* 'FOR KEY SHARE' OR h.query ~* 'FOR KEY SHARE') AS key_share,
         count(DISTINCT h.table_name) AS tables, bool_and(h.table_name IS NOT NULL) AS tables_known,
         min(h.table_name) AS one_table, array_agg(DISTINCT h.table_name) FILTER (WHERE h.table_name IS NOT NULL) AS table_names,
         min(h.wanted) AS one_object, string_agg(DISTINCT h.mode, ' and ') AS modes,
         bool_and(h.held_table IS NOT NULL AND h.table_name IS NOT NULL AND h.held_table <> h.table_name) AS crossed,
         string_agg(format('%s (%s) holds %s and wants %s', h.who, h.pid,
                           coalesce(CASE WHEN h.held_type IN ('transactionid', 'tuple') AND h.held_table IS NOT NULL THEN 'rows of ' || h.held_table END, h.held),
                           coalesce(CASE WHEN h.type IN ('transactionid', 'tuple') AND h.table_name IS NOT NULL THEN 'rows of ' || h.table_name END, h.wanted)),
                    '; ' ORDER BY h.n) AS ring,
         (array_agg(format('%s then %s', h.held_table, h.table_name) ORDER BY h.n))[1] AS first_order,
         bool_or(h.query IS NULL) AS unknown_query
    INTO p FROM h;
  IF p.n < 2 THEN
    RETURN 'Nothing can be concluded: only the victim is known. Set log_error_verbosity = default, so that the log has the DETAIL of a deadlock.';
  END IF;
  v_order := 'In the ring: ' || p.ring || '. ';
  IF p.concurrently THEN
    RETURN v_order || 'An index statement with CONCURRENTLY waits for every transaction that is older than it, and keeps a lock that such a transaction wants: run it when none is '
      || 'open that will yet change the table''s definition or lock it. Where it was the victim, an INVALID index stays: DROP INDEX CONCURRENTLY, then again.';
  END IF;
  IF p.ddl THEN
    RETURN v_order || 'A change of a definition took part: run it in a transaction of its own, with SET lock_timeout = ''2s'' and a retry, '
      || 'or take its lock (LOCK TABLE ... IN ACCESS EXCLUSIVE MODE) as that transaction''s first statement.';
  END IF;
  IF p.one_relation THEN
    RETURN v_order || format('All already hold a lock on %s and want a stronger one (%s): an upgrade that two cannot do at once. Take the '
      'strongest lock first (LOCK TABLE ... IN that mode, at the beginning), or do without the first, weaker one.', p.one_object, p.modes);
  END IF;
  IF p.advisory THEN
    RETURN v_order || 'Advisory locks taken in opposite orders: take them sorted by key, or all of them through one key.';
  END IF;
  IF p.inserts AND NOT p.key_share IS TRUE THEN
    RETURN v_order || 'Each inserted a key that the other one wanted to insert, too: insert the rows of a statement and of a transaction in one order, sorted by that unique key '
      || '(INSERT ... ON CONFLICT takes them in the order in which they come).';
  END IF;
  v_reference := CASE WHEN p.rows AND p.tables = 1 THEN lock_engine.referencing_key(p.one_table) END;
  IF p.rows AND p.one_row THEN
    RETURN v_order || 'All want the same row: each locked it in share mode first (SELECT ... FOR SHARE'
      || coalesce(', or the FOR KEY SHARE of foreign key ' || v_reference || ': then SELECT ... FOR NO KEY UPDATE instead of FOR UPDATE, which lets those through', '')
      || ') and then wanted to change it. Lock it at once as strongly as will be needed: SELECT ... FOR NO KEY UPDATE (FOR UPDATE where its key changes) before anything else.';
  END IF;
  v_key := CASE WHEN p.rows OR p.key_share THEN lock_engine.unindexed_foreign_key(p.table_names) END;
  IF v_key IS NOT NULL THEN
    RETURN v_order || format('A foreign key has no index: %s. Its checks go through every row of the referencing table and lock what they need not: '
      'create that index (CREATE INDEX CONCURRENTLY), then see whether the order of statements still crosses.', v_key);
  END IF;
  IF p.key_share THEN
    RETURN v_order || 'A foreign key''s check took part (FOR KEY SHARE on the referenced row): change the referenced row first, then insert or '
      'update the referencing ones, in all transactions alike.';
  END IF;
  IF p.rows AND p.tables_known AND p.tables = 1 AND NOT p.other_rows THEN
    RETURN v_order || format('Which rows of %s they wanted is not known. Either each had locked the same row more weakly before (SELECT ... FOR SHARE%s): then SELECT ... FOR NO KEY UPDATE first; '
      'or they lock several rows in different orders: then sort the rows before locking them. The server log''s CONTEXT tells the rows.', p.one_table,
      coalesce(', foreign key ' || v_reference, ''));
  END IF;
  IF p.rows AND p.one_statement THEN
    RETURN v_order || format('The same statement runs on several rows of %s in different orders: sort the rows before locking them '
      '(SELECT ... ORDER BY the primary key FOR UPDATE, or apply the changes sorted by key).', coalesce(p.one_table, 'one table'));
  END IF;
  IF p.crossed THEN
    RETURN v_order || format('Take them in one order everywhere: for example %s in every transaction.', p.first_order);
  END IF;
  IF p.rows AND p.tables_known AND p.tables = 1 THEN
    RETURN v_order || format('Different statements lock the same rows of %s in different orders: agree on one order, for example by primary key, '
      'and lock all rows first (SELECT ... ORDER BY the primary key FOR UPDATE).', p.one_table);
  END IF;
  IF p.unknown_query AND NOT p.tables_known THEN
    RETURN v_order || 'Nothing more can be concluded: the statements are not known.';
  END IF;
  RETURN v_order || 'Agree on one order in which every transaction takes these.';
END
$$;
COMMENT ON FUNCTION lock_engine.deadlock_suggestion(jsonb) IS
  'Words a developer can act on, from who holds and wants what in the ring; says so where nothing can be concluded.';
