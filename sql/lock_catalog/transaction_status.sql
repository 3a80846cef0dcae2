-- pg_xact_status() wants a 64-bit id; what pg_locks and activity show has 32 bits. The epoch comes from the present
-- snapshot: a transaction of a session still known is never a whole epoch old.
CREATE OR REPLACE FUNCTION lock_catalog.transaction_status(p_xid bigint)
RETURNS text
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_next bigint := pg_snapshot_xmax(pg_current_snapshot())::text::bigint;
  v_full bigint := (v_next >> 32 << 32) | p_xid;
BEGIN
  IF p_xid IS NULL THEN
    RETURN NULL;
  END IF;
  IF v_full > v_next THEN
    v_full := v_full - (1::bigint << 32);
  END IF;
  IF v_full < 3 THEN
    RETURN NULL;
  END IF;
  RETURN pg_xact_status(v_full::text::xid8);
EXCEPTION WHEN invalid_parameter_value THEN
  -- newer than this snapshot
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION lock_catalog.transaction_status(bigint) IS
  'in progress, committed or aborted for a transaction id as pg_locks and pg_stat_activity show it; NULL if not known.';
