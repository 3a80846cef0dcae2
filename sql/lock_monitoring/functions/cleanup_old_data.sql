-- Retention as one transaction, as the guide's cron line runs it: batches of lock_engine.delete_batch until all is done or
-- the time is over (setting retention.budget_seconds, and well before the statement_timeout in force). What was deleted by
-- then stays deleted, the last line says what is left. CALL lock_engine.clean_up(30) has no such limit.
CREATE OR REPLACE FUNCTION lock_monitoring.cleanup_old_data(p_retention_days integer DEFAULT 30)
RETURNS TABLE (cleanup_summary varchar(200), records_cleaned integer)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s'
AS $$
#variable_conflict use_column
DECLARE
  v_before timestamptz;
  v_timeout double precision := (SELECT s.setting::double precision / 1000 FROM pg_settings s WHERE s.name = 'statement_timeout');
  v_budget double precision := least(greatest((lock_admin.setting('retention.budget_seconds') #>> '{}')::double precision, 1), 3600);
  v_until timestamptz;
  v_began timestamptz;
  v_now timestamptz;
  v_state jsonb;
  v_batch record;
  v_rows integer;
  -- seconds for a row, as the last batch had it that had enough to do; at first what a slow machine needs
  v_per_row double precision := 0.0005;
  v_left double precision;
  v_deleted jsonb := '{}';
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  PERFORM lock_engine.require_writable('lock_monitoring.cleanup_old_data');
  v_before := lock_engine.retention_begins(p_retention_days);
  IF v_timeout > 0 THEN
    v_budget := least(v_budget, v_timeout * 0.6);
  END IF;
  v_until := statement_timestamp() + make_interval(secs => v_budget);
  v_left := v_budget;
  LOOP
    v_began := clock_timestamp();
    -- few large ones: until the commit each batch goes once through the dead of those before it that have the same load_date;
    -- but none so large that it does not fit into the time that is left
    v_rows := least(20000, greatest(500, v_left * 0.7 / v_per_row));
    SELECT b.state, b.deleted, b.in_the_way INTO v_batch FROM lock_engine.delete_batch(v_before, v_state, v_rows) b;
    v_deleted := lock_engine.add_counts(v_deleted, v_batch.deleted);
    v_state := v_batch.state;
    v_now := clock_timestamp();
    IF (SELECT coalesce(sum(d.value::bigint), 0) FROM jsonb_each_text(v_batch.deleted) d) >= v_rows THEN
      v_per_row := greatest(date_part('epoch', v_now - v_began) / v_rows, 0.00002);
    END IF;
    v_left := date_part('epoch', v_until - v_now);
    EXIT WHEN v_state IS NULL OR v_batch.in_the_way IS NOT NULL OR v_left < 500 * v_per_row;
  END LOOP;
  RETURN QUERY
    SELECT r.cleanup_summary::varchar(200), least(r.records_cleaned, 2147483647)::integer
      FROM lock_engine.cleanup_report(v_deleted, v_before, p_retention_days, v_state, v_batch.in_the_way) r;
END
$$;
COMMENT ON FUNCTION lock_monitoring.cleanup_old_data(integer) IS
  'Deletes what ended more than p_retention_days ago (default 30): satellites, links, then hubs nobody points at. One line a '
  'table with what was deleted, then the total and what is left, as it works for setting retention.budget_seconds at most. Open rows, '
  'the action log and hubs of living sessions stay. Needs lock_admin_role.';
