-- How to avoid this deadlock, from its ring, statements and the tables' catalog. Says so where nothing can be concluded: wrong advice is
-- worse than none. docs/deadlocks.md has the kinds; tests/sql/test_deadlock_advice.py plays each and then does what is said.
CREATE OR REPLACE FUNCTION lock_engine.deadlock_suggestion(p_participants jsonb)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  r record;
  d record;
  v_ring text;
  v_facts record;
  v_by text := '';
  v_order text;
  v_all text;
  v_mode text;
  v_guess text;
BEGIN
  IF EXISTS (SELECT FROM jsonb_array_elements(p_participants) x WHERE x ? 'caught')
     AND EXISTS (SELECT FROM jsonb_array_elements(p_participants) x WHERE NOT x ? 'blocked_by') THEN
    RETURN 'Nothing can be concluded about the ring: the application caught the error, so that it is not in the log. Where it is a retry, '
      'let the handler raise it again (RAISE) when it gives up, or watch: the loop sees rings while they live.';
  END IF;
  IF jsonb_array_length(p_participants) < 2 THEN
    RETURN 'Nothing can be concluded: only the victim is known. Set log_error_verbosity = default, so that the log has the DETAIL of a deadlock.';
  END IF;
  SELECT bool_and(h.here) AS here, bool_and(h.thing IS NOT NULL) AS known, count(DISTINCT h.thing) AS things, min(h.thing) AS one_thing,
         bool_and(coalesce(h.type IN ('transactionid', 'tuple'), false)) AS rows, bool_and(coalesce(h.type = 'relation', false)) AS relations,
         bool_and(coalesce(h.type = 'advisory', false)) AS advisory,
         bool_or(h.type = 'advisory') AS any_advisory,
         bool_or(h.query ~* '\mpg_advisory_lock(_shared)?\M') AS session_locks,
         count(*) FILTER (WHERE h.class = 'concurrent_ddl') AS concurrent,
         bool_or(h.class = 'concurrent_ddl' AND h.type = 'virtualxid') AS concurrent_waits,
         bool_or(h.class = 'concurrent_ddl' AND h.verb = 'alter') AS detach,
         bool_and(coalesce(h.verb IN ('insert', 'merge', 'copy') AND (h.is_key OR h.is_exclusion OR h.own_table = h.thing AND NOT h.is_check), false)) AS inserts,
         bool_and(h.is_key) AS keys, bool_or(h.is_exclusion) AS exclusion, bool_or(h.is_check) AS checks,
         min(h.thing) FILTER (WHERE h.is_check) AS checked,
         bool_and(h.row_key IS NOT NULL) AS rows_known, count(DISTINCT h.row_key) AS row_keys,
         bool_and(coalesce(h.row_mode IN ('FOR NO KEY UPDATE', 'FOR SHARE', 'FOR KEY SHARE'), false)) AS weak,
         bool_and(coalesce(h.row_mode = 'FOR NO KEY UPDATE', false)) AS no_key,
         bool_and(coalesce(h.verb = 'select' AND h.row_mode = 'FOR UPDATE', false)) AS locks_only,
         bool_and(h.print IS NOT NULL) AND count(DISTINCT h.print) = 1 AS one_statement,
         bool_or(h.guessed) AS guessed,
         min(h.own_table) FILTER (WHERE h.type IN ('transactionid', 'tuple') AND h.own_table <> h.thing AND NOT h.is_check
                                      AND h.verb IN ('insert', 'update', 'delete', 'merge', 'copy')) AS through,
         min(h.thing) FILTER (WHERE h.type IN ('transactionid', 'tuple') AND h.own_table <> h.thing AND NOT h.is_check
                                      AND h.verb IN ('insert', 'update', 'delete', 'merge', 'copy')) AS reached,
         array_agg(h.mode) FILTER (WHERE h.type = 'relation') AS modes,
         string_agg(h.pid, ', ' ORDER BY h.n) FILTER (WHERE h.thing IS NULL) AS unknown,
         array_agg(DISTINCT h.thing) AS all_things,
         string_agg(format('%s (%s) %s %s and wants %s', h.who, h.pid, CASE WHEN h.held_queued THEN 'waits before the next one for' ELSE 'holds' END,
                           h.held_words, h.words), '; ' ORDER BY h.n) AS ring
    INTO r FROM lock_engine.deadlock_ring(p_participants) h;
  v_ring := 'In the ring: ' || r.ring || '. ';
  v_mode := CASE WHEN 'AccessExclusiveLock' = ANY (r.modes) THEN 'ACCESS EXCLUSIVE' WHEN 'ExclusiveLock' = ANY (r.modes) THEN 'EXCLUSIVE'
                 -- SHARE and weaker ones do not keep each other out
                 ELSE 'SHARE ROW EXCLUSIVE' END;

  IF r.detach THEN
    RETURN v_ring || 'DETACH PARTITION CONCURRENTLY takes its locks twice and waits between for every transaction that uses the table: run it when none is open that will yet '
      'change the table''s definition or lock it. Where it was the victim, the partition stays half detached: ALTER TABLE ... DETACH PARTITION ... FINALIZE.';
  END IF;
  IF r.concurrent_waits THEN
    RETURN v_ring || CASE
        WHEN r.concurrent > 1 THEN 'Index statements with CONCURRENTLY wait for every transaction that is older than they are, also for one another: run them on one table one after the other. '
        WHEN r.any_advisory THEN 'An index statement with CONCURRENTLY waits for every statement that is older than it, also for one that waits for an advisory lock that its own session holds: '
          'take such a lock with pg_try_advisory_lock(), and again after a pause where it says false, not with a statement that waits. '
        ELSE 'An index statement with CONCURRENTLY waits for every transaction that is older than it, and keeps a lock that such a transaction wants: run it when none is open that will '
          'yet change the table''s definition or lock it. ' END
      || 'Where it was the victim, an INVALID index stays: DROP INDEX CONCURRENTLY, then again.'
      || CASE WHEN r.here THEN coalesce((SELECT ' INVALID now, or just being built: ' || string_agg(x.name, ', ' ORDER BY x.name) || '.'
           FROM (SELECT lock_catalog.readable(n.nspname::text || '.' || c.relname) AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                   JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname !~ '^pg_temp' ORDER BY 1 LIMIT 3) x), '') ELSE '' END;
  END IF;

  IF r.advisory AND r.things = 1 THEN
    RETURN v_ring || 'All hold one advisory lock shared and want it exclusive, which two cannot at once: take the exclusive one first (pg_advisory_lock, pg_advisory_xact_lock), before '
      'anything else.';
  END IF;
  IF r.advisory THEN
    RETURN v_ring || 'Advisory locks taken in different orders: take them sorted by key, or all of them through one key.'
      || CASE WHEN r.session_locks THEN ' A session''s lock outlives COMMIT and errors: pg_advisory_unlock() it, also where the statement fails, or take pg_advisory_xact_lock().' ELSE '' END;
  END IF;
  IF r.relations AND r.known AND r.things = 1 THEN
    RETURN v_ring || format('All already hold a lock on %s and want another one that the others'' locks do not let in: an upgrade that two cannot do at once. Take the strongest lock first '
      '(LOCK TABLE ... IN %s MODE as the first statement of the transaction), or do without the first, weaker one.', r.one_thing, v_mode);
  END IF;

  -- a definition that others wait for, or that waits
  SELECT m.thing, m.mode, m.alone, m.held_type, m.held
    INTO d
    FROM lock_engine.deadlock_ring(p_participants) m
   WHERE m.type = 'relation' AND m.verb <> 'lock' AND (m.class = 'definition' OR m.class = 'maintenance'
           AND m.mode IN ('AccessExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock'))
   ORDER BY m.alone NULLS LAST, m.n LIMIT 1;
  IF FOUND THEN
    v_mode := CASE d.mode WHEN 'ShareLock' THEN 'SHARE ROW EXCLUSIVE' ELSE upper(regexp_replace(regexp_replace(d.mode, 'Lock$', ''), '(?<=[a-z])([A-Z])', ' \1', 'g')) END;
    -- an index is locked through its table, a materialized view not at all
    v_order := (SELECT CASE WHEN k.relkind IN ('r', 'p') THEN format('LOCK TABLE %s IN %s MODE', d.thing, v_mode)
                            WHEN t.relname IS NOT NULL
                              THEN format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', lock_catalog.readable(tn.nspname::text || '.' || t.relname)) END
                  FROM pg_class k JOIN pg_namespace n ON n.oid = k.relnamespace
                  LEFT JOIN pg_index i ON i.indexrelid = k.oid
                  LEFT JOIN pg_class t ON t.oid = i.indrelid LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace
                 WHERE r.here AND k.relname = ANY (ARRAY[substr(d.thing, strpos(d.thing, '.') + 1), regexp_replace(d.thing, '^.*\.', '')]::name[])
                   AND n.nspname || '.' || k.relname = d.thing);
    IF v_order IS NULL THEN
      RETURN v_ring || format('A change of a definition took part: run it in a transaction of its own, when no transaction is open that has used %s.', d.thing);
    END IF;
    IF d.held_type = 'relation' AND d.held <> d.thing AND d.alone THEN
      RETURN v_ring || format('A change of a definition by itself takes several locks, in another order than others do. Take them in theirs (%s, then %s): %s as the first '
        'statement of its transaction.', d.thing, d.held, v_order);
    END IF;
    RETURN v_ring || format('A change of a definition took part: run it in a transaction of its own, with SET lock_timeout and a retry so that nobody waits behind it for long, or '
      'make %s that transaction''s first statement.', v_order)
      || CASE WHEN d.held_type = 'relation' AND d.held <> d.thing
              THEN format(' Where it was alone in its transaction, it locked %s by itself, too: then %s comes first.', d.held, v_order) ELSE '' END;
  END IF;

  IF r.unknown IS NOT NULL OR NOT r.known THEN
    RETURN v_ring || format('More cannot be concluded: nothing shows in which table %s wait%s. Statements that call code (functions, CALL, DO, prepared ones) do not say what they lock; '
      'a look while the ring lives, or log_lock_waits, may tell.', r.unknown, CASE WHEN strpos(r.unknown, ',') = 0 THEN 's' ELSE '' END);
  END IF;

  v_guess := CASE WHEN r.guessed THEN ' (Told by the statements: which rows a trigger or a foreign key locked does not show.)' ELSE '' END;
  IF r.here AND r.through IS NOT NULL THEN
    SELECT f.* INTO v_facts FROM lock_engine.table_facts(r.through, r.reached) f;
    v_by := format('Rows of %s are locked by a statement on %s', r.reached, r.through)
      || CASE WHEN v_facts.trigger_to_other IS NOT NULL THEN format(' (the trigger %s of %s names that table). ', v_facts.trigger_to_other, r.through)
              WHEN (SELECT f.refers_to_other FROM lock_engine.table_facts(r.reached, r.through) f) THEN ' (its foreign key refers to it). ' ELSE '. ' END;
  END IF;

  IF r.things > 1 THEN
    -- Any order will do that all keep. Easiest to keep: advisory locks, which are taken by themselves; referenced before referencing tables, which
    -- are inserted and cascade in that order; what a trigger changes before the table it is on, since its rows can be locked beforehand.
    v_all := (
      WITH t AS (SELECT u.thing, (SELECT count(*) FROM unnest(r.all_things) o(thing) CROSS JOIN LATERAL lock_engine.table_facts(u.thing, o.thing) f
                                   WHERE r.here AND o.thing <> u.thing AND (f.refers_to_other OR f.trigger_to_other IS NOT NULL)) AS behind
                   FROM unnest(r.all_things) u(thing))
      SELECT string_agg(t.thing, ', then ' ORDER BY t.thing NOT LIKE 'advisory lock%', t.thing IS DISTINCT FROM r.checked, t.behind, t.thing COLLATE "C") FROM t);
    RETURN v_ring || v_by || CASE WHEN r.checks THEN format('A foreign key''s check took part (FOR KEY SHARE on rows of %s). ', r.checked) ELSE '' END
      || format('Take them in one order everywhere: for example %s, in every transaction; of rows that are changed later lock first those that are there (SELECT ... ORDER BY the primary key '
         'FOR UPDATE%s).', v_all, CASE WHEN r.checks THEN format('; FOR KEY SHARE of %s where it is only referred to', r.checked) ELSE '' END) || v_guess;
  END IF;

  -- one table's rows
  SELECT f.* INTO v_facts FROM lock_engine.table_facts(r.one_thing, NULL) f WHERE r.here;
  IF r.inserts AND (r.exclusion OR v_facts.unique_keys = 0 AND v_facts.exclusions > 0) THEN
    RETURN v_ring || format('Each inserted a row that an exclusion constraint of %s forbids beside the other''s: insert the rows of a statement and of a transaction in one order, sorted by the '
      'constraint''s columns (ranges by where they begin).', r.one_thing)
      || CASE WHEN v_facts.unique_keys + v_facts.exclusions > 1
              THEN format(' Where another unique key is there twice as well, take turns (LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE before the first of several rows).', r.one_thing) ELSE '' END
      || v_guess;
  END IF;
  IF r.inserts AND v_facts.unique_keys + v_facts.exclusions > 1 THEN
    RETURN v_ring || v_by || format('Each inserted a key that the other one wanted to insert, too. %s has several unique keys, and rows in the order of one are in none of another: where it is always '
      'the same one that is there twice, insert sorted by it; else take turns (LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE before the first of several rows).', r.one_thing, r.one_thing) || v_guess;
  END IF;
  IF r.inserts THEN
    RETURN v_ring || v_by || CASE WHEN r.keys THEN 'Each inserted a key that the other one wanted to insert, too: ' ELSE 'Each inserted or locked a key that the other one wanted, too: ' END
      || 'insert the rows of a statement and of a transaction in one order, sorted by that unique key (INSERT ... ON CONFLICT takes them in the order in which they come).' || v_guess;
  END IF;
  IF NOT r.rows THEN
    RETURN v_ring || CASE WHEN r.modes IS NULL THEN 'More cannot be concluded.'
      ELSE format('%s is locked as a whole and by its rows: what locks it as a whole takes that lock first (LOCK TABLE %s IN %s MODE as the first statement of the transaction).',
                  r.one_thing, r.one_thing, v_mode) END;
  END IF;
  v_all := format('before anything else%s lock all rows of %s that the transaction will change%s, sorted: SELECT ... ORDER BY the primary key %s.',
    CASE WHEN v_facts.referenced_by IS NOT NULL OR NOT r.here THEN ' (also before rows that refer to them are inserted)' ELSE '' END, r.one_thing,
    CASE WHEN v_facts.referenced_by IS NOT NULL OR NOT r.here THEN ' or refer to' ELSE '' END,
    CASE WHEN r.no_key THEN 'FOR NO KEY UPDATE (FOR UPDATE where rows are deleted or a unique column changes)' ELSE 'FOR UPDATE' END);
  IF r.checks THEN
    RETURN v_ring || v_by || format('A foreign key''s check took part (FOR KEY SHARE on rows of %s): ', r.one_thing) || v_all || v_guess;
  END IF;
  -- Two places are two rows unless one is a newer version of the other, which only a KEY SHARE lets be made while it is held; then somebody
  -- waits for more than FOR NO KEY UPDATE.
  IF r.rows_known AND r.row_keys > 1 AND (r.weak OR v_facts.known AND v_facts.referenced_by IS NULL) THEN
    RETURN v_ring || v_by || CASE WHEN r.one_statement THEN format('The same statement runs on several rows of %s in different orders: ', r.one_thing)
        ELSE format('Different statements lock the same rows of %s in different orders: ', r.one_thing) END
      || v_all || CASE WHEN r.weak THEN '' ELSE ' (Where FOR KEY SHARE was taken by hand it may be one row; this ends that, too.)' END
      || CASE WHEN v_by = '' THEN ' Or sort the changes themselves by key, where each is a statement of its own.' ELSE '' END || v_guess;
  END IF;
  RETURN v_ring || v_by || CASE WHEN r.rows_known AND r.row_keys = 1 THEN 'All want the same row, which each had locked more weakly before (SELECT ... FOR SHARE'
        || coalesce(', the FOR KEY SHARE of foreign key ' || v_facts.referenced_by, '') || '): '
      ELSE 'Either each had locked one row more weakly before (SELECT ... FOR SHARE' || coalesce(', the FOR KEY SHARE of foreign key ' || v_facts.referenced_by, '')
        || '), or they lock several in different orders; which does not show. This ends both: ' END
    || v_all
    || CASE WHEN r.locks_only AND v_facts.referenced_by IS NOT NULL
            THEN ' Where each holds no more than such a foreign key''s lock and changes no unique column, FOR NO KEY UPDATE in place of FOR UPDATE is enough, which lets it through.' ELSE '' END
    || v_guess;
END
$$;
COMMENT ON FUNCTION lock_engine.deadlock_suggestion(jsonb) IS
  'Words a developer can act on, from who holds and wants what in the ring; says so where nothing can be concluded.';
