-- A file that a client reads is of another server, as far as anybody knows, and what it claims stays claimed. Who knows better says
-- so here: then the counters of this server may prove it.
CREATE OR REPLACE FUNCTION lock_log.own_file(p_source text)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_sources text[];
  v_claims integer;
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  PERFORM pg_advisory_xact_lock(460, 5);
  -- with a prefix or a zone of its own it is remembered as "name [prefix, zone]"
  v_sources := ARRAY(SELECT s.source FROM lock_log.source s
                      WHERE NOT s.own_server AND (s.source = p_source OR left(s.source, length(p_source) + 2) = p_source || ' ['));
  UPDATE lock_log.source s SET own_server = true WHERE s.source = ANY (v_sources);
  UPDATE lock_log.event e
     SET source = 'own:' || substr(e.source, 6), stored_at = clock_timestamp(), handled = NOT lock_log.may_be_event(e.kind, e.context)
   WHERE e.standing = 'claimed' AND e.deadlock_event_hk IS NULL AND e.kind IN ('deadlock', 'deadlock_wait')
     AND e.source LIKE 'file:%' AND substr(e.source, 6) = ANY (v_sources);
  GET DIAGNOSTICS v_claims = ROW_COUNT;
  RETURN v_claims;
END
$$;
COMMENT ON FUNCTION lock_log.own_file(text) IS
  'Says that a file imported under this name is this server''s own log, so that its counters may prove what it claims: how many '
  'deadlocks wait for that now. Needs lock_admin_role.';
ALTER FUNCTION lock_log.own_file(text) OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_log.own_file(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_log.own_file(text) TO lock_admin_role;
