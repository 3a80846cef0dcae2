-- A setting is the transaction's memory, and anybody may give a session any value of it beforehand: the owner of the database for
-- all sessions, whoever shares a pooler's session for the next. So it begins with the transaction that it is of, and whatever
-- else stands there is nobody's. Inlined.
CREATE OR REPLACE FUNCTION lock_engine.unplaced_since()
RETURNS timestamptz
LANGUAGE sql
STABLE
AS $$
  SELECT CASE WHEN pg_catalog.current_setting('lock_vault.unplaced_since', true) OPERATOR(pg_catalog.~) '^\d{1,17} \d{1,17}$'
               AND pg_catalog.split_part(pg_catalog.current_setting('lock_vault.unplaced_since', true), ' ', 1)
                   OPERATOR(pg_catalog.=) (pg_catalog.date_part('epoch', pg_catalog.now()) OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8::pg_catalog.text
              -- a hair earlier, for what the division rounds
              THEN pg_catalog.to_timestamp(pg_catalog.split_part(pg_catalog.current_setting('lock_vault.unplaced_since', true), ' ', 2)::pg_catalog.int8
                                           OPERATOR(pg_catalog./) 1000000.0) OPERATOR(pg_catalog.-) '100 us'::pg_catalog.interval
         END
$$;
COMMENT ON FUNCTION lock_engine.unplaced_since() IS
  'What this transaction wrote since lock_engine.defer_keys() has no earlier load_date; NULL where nothing waits for lock_engine.place_rows().';
