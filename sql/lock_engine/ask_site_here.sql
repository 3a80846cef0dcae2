-- Without a loop nobody else would ask. The loop's own session never does: it asks on a connection that is closed afterwards.
CREATE OR REPLACE FUNCTION lock_engine.ask_site_here()
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '50ms'
AS $$
DECLARE
  v_since timestamptz := lock_engine.unplaced_since();
BEGIN
  IF NOT lock_engine.ask_due() OR EXISTS (SELECT FROM lock_engine.watch_state w WHERE w.looker_pid = pg_backend_pid()) THEN
    RETURN;
  END IF;
  -- in statements of their own: what PostgreSQL knows to be false it does not ask
  PERFORM lock_engine.ask_site();
  IF v_since IS NOT NULL THEN
    PERFORM lock_engine.find_tenants(v_since);
  END IF;
EXCEPTION
  WHEN lock_not_available THEN NULL;  -- one of our own tables is locked: the next cycle asks
END
$$;
COMMENT ON FUNCTION lock_engine.ask_site_here() IS
  'Has lock_engine.ask_site() look up what is wanted, where this session is not the loop''s, and gives the rows that this transaction wrote '
  'the tenants that were found.';
