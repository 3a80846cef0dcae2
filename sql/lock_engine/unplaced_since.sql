CREATE OR REPLACE FUNCTION lock_engine.unplaced_since()
RETURNS timestamptz
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  -- a hair earlier, for what the division rounds
  SELECT to_timestamp(nullif(current_setting('lock_vault.unplaced_since', true), '')::bigint / 1000000.0) - interval '100 us'
$$;
COMMENT ON FUNCTION lock_engine.unplaced_since() IS
  'What this transaction wrote since lock_engine.defer_keys() has no earlier load_date; NULL where nothing waits for lock_engine.place_rows().';
