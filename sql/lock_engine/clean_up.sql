-- Retention from psql: CALL lock_engine.clean_up(30). Commits after each batch and rests a moment, so that it can take as
-- long as it likes: ended anywhere, the next call goes on where it was. With the caller's rights (lock_admin_role), as
-- PostgreSQL lets only such a procedure commit.
CREATE OR REPLACE PROCEDURE lock_engine.clean_up(p_retention_days integer DEFAULT 30, INOUT report text DEFAULT NULL)
LANGUAGE plpgsql
AS $$
DECLARE
  v_before pg_catalog.timestamptz;
  v_state pg_catalog.jsonb;
  v_batch record;
  v_deleted pg_catalog.jsonb := '{}';
  v_began pg_catalog.timestamptz;
  v_rest pg_catalog.float8;
  v_refused pg_catalog.int4 := 0;
BEGIN
  -- a procedure that commits cannot have settings of its own: they are made anew in each transaction
  PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
  IF now() <> statement_timestamp() THEN
    RAISE EXCEPTION 'CALL lock_engine.clean_up commits after each batch, so it cannot run inside a transaction: run it by itself, or SELECT * FROM lock_monitoring.cleanup_old_data(%). Nothing was deleted.',
      coalesce(p_retention_days::text, 'NULL') USING ERRCODE = 'active_sql_transaction';
  END IF;
  v_before := lock_engine.retention_begins(p_retention_days);
  LOOP
    v_began := clock_timestamp();
    SELECT b.state, b.deleted, b.in_the_way INTO v_batch FROM lock_engine.delete_batch(v_before, v_state) b;
    v_deleted := lock_engine.add_counts(v_deleted, v_batch.deleted);
    v_state := v_batch.state;
    v_refused := CASE WHEN v_batch.in_the_way IS NULL THEN 0 ELSE v_refused + 1 END;
    EXIT WHEN (v_state IS NULL AND v_refused = 0) OR v_refused = 30;
    v_rest := CASE WHEN v_refused > 0 THEN 1 ELSE greatest(0.01, date_part('epoch', clock_timestamp() - v_began) / 4) END;
    COMMIT;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    PERFORM pg_sleep(v_rest);
  END LOOP;
  SELECT string_agg(r.cleanup_summary, E'\n') INTO report
    FROM lock_engine.cleanup_report(v_deleted, v_before, p_retention_days, v_state, v_batch.in_the_way) r;
END
$$;
COMMENT ON PROCEDURE lock_engine.clean_up(integer, text) IS
  'Deletes what ended more than p_retention_days ago (default 30), committing after each batch: CALL lock_engine.clean_up(30), not '
  'inside a transaction. Gives a line a table. What is in the way for half a minute ends it; the next call goes on. Needs lock_admin_role.';
REVOKE ALL ON PROCEDURE lock_engine.clean_up(integer, text) FROM PUBLIC;
GRANT EXECUTE ON PROCEDURE lock_engine.clean_up(integer, text) TO lock_admin_role;
