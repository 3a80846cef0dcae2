-- What a function that writes needs of its caller's transaction, and what to type where it is not so. A setting of the
-- role or the database makes every transaction such a one, so it is named together with the transaction's own.
CREATE OR REPLACE FUNCTION lock_engine.require_writable(p_function text, p_fresh boolean DEFAULT true)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_level text := current_setting('transaction_isolation');
BEGIN
  IF pg_is_in_recovery() THEN
    RAISE EXCEPTION 'This server is a standby and cannot be written to; run the monitor against the primary.'
      USING ERRCODE = 'read_only_sql_transaction';
  END IF;
  IF current_setting('transaction_read_only')::boolean THEN
    RAISE EXCEPTION '%() writes, and this transaction is READ ONLY (%): type % and call it again in a new transaction.',
      p_function,
      CASE WHEN current_setting('default_transaction_read_only')::boolean THEN 'default_transaction_read_only = on'
           ELSE 'transaction_read_only = on, as it was begun' END,
      CASE WHEN current_setting('default_transaction_read_only')::boolean THEN 'SET default_transaction_read_only = off;'
           ELSE 'ROLLBACK; BEGIN READ WRITE;' END
      USING ERRCODE = 'read_only_sql_transaction';
  END IF;
  IF p_fresh AND v_level IN ('repeatable read', 'serializable') THEN
    RAISE EXCEPTION '%() must see what others commit meanwhile, and this transaction is % (%): type % and call it again in a new transaction.',
      p_function, upper(v_level),
      CASE WHEN current_setting('default_transaction_isolation') = v_level
           THEN format('default_transaction_isolation = %L', v_level)
           ELSE format('transaction_isolation = %L, as it was begun', v_level) END,
      CASE WHEN current_setting('default_transaction_isolation') = v_level
           THEN 'SET default_transaction_isolation = ''read committed'';'
           ELSE 'ROLLBACK; BEGIN ISOLATION LEVEL READ COMMITTED;' END
      USING ERRCODE = 'invalid_transaction_state';
  END IF;
END
$$;
COMMENT ON FUNCTION lock_engine.require_writable(text, boolean) IS
  'Refuses a transaction in which a function that writes cannot work: a standby''s, a read-only one, and (p_fresh) one that '
  'sees an old state. The sentence names the setting and the line to type.';
