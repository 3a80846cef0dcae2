-- Some tenant is locked, unreadable or gone, or was so at the last cycle. Questions by sub-transactions of their own: 25 ms
-- for the tenants with rows aside, 15 ms for those that are new, 5 ms for each check of what is to stay. A tenant that is
-- known to be locked is asked once a cycle, and not again for each row.
CREATE OR REPLACE FUNCTION lock_engine.place_around(p_since timestamptz)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  -- hubs and links: what holds a tenant's row for some 20 ms
  c_rows constant integer := 1000;
  v_new bytea[];
  v_busy bytea[];
  v_asked record;
  v_reason text;
  v_left bigint := 0;
BEGIN
  -- one at a time: whoever moves rows and whoever sets some aside agree on which tenants have any
  PERFORM pg_advisory_xact_lock(460, 9);
  IF EXISTS (SELECT FROM lock_engine.aside_tenant t WHERE t.tenant_hk = '') THEN
    PERFORM lock_engine.find_tenants();
  END IF;
  IF p_since IS NOT NULL THEN
    PERFORM lock_engine.join_aside(p_since);
  END IF;
  SELECT a.* INTO v_asked
    FROM lock_engine.ask_tenants(ARRAY(SELECT t.tenant_hk FROM lock_engine.aside_tenant t
                                        WHERE t.tenant_hk <> '' ORDER BY t.tried_at), 25) a;
  v_busy := ARRAY(SELECT t.tenant_hk FROM lock_engine.aside_tenant t WHERE t.tenant_hk <> ALL (v_asked.free));
  IF p_since IS NOT NULL AND cardinality(v_busy) > 0 THEN
    PERFORM lock_engine.set_aside(p_since, v_busy, v_asked.reason);
  END IF;
  PERFORM lock_engine.forget_tenant(g) FROM unnest(v_asked.gone) g;
  IF p_since IS NOT NULL THEN
    PERFORM lock_engine.follow_hubs(p_since);
  END IF;

  BEGIN
    IF cardinality(v_asked.free) > 0 THEN
      PERFORM lock_engine.defer_keys(clock_timestamp());
      v_left := lock_engine.move_back(v_asked.free, c_rows);
    END IF;
    -- before the tenants' rows are asked for, so that they are held for the check and the commit only
    PERFORM lock_engine.note_aside(NULL);
    PERFORM lock_engine.say_unseen();
    UPDATE lock_engine.aside_tenant t SET movable = NOT t.movable
     WHERE t.movable <> (v_left > 0 AND t.tenant_hk = ANY (v_asked.free));
    PERFORM lock_engine.check_keys();
  EXCEPTION
    WHEN OTHERS THEN
      IF lock_engine.ends_all(SQLSTATE, false) THEN
        RAISE;
      END IF;
      v_reason := SQLERRM;
      v_left := 0;
      UPDATE lock_engine.aside_tenant t SET tried_at = clock_timestamp(), tries = t.tries + 1, reason = v_reason, movable = false
       WHERE t.tenant_hk = ANY (v_asked.free);
  END;
  IF v_reason IS NOT NULL AND p_since IS NOT NULL THEN
    v_new := ARRAY(SELECT x FROM lock_engine.new_tenants(p_since) x WHERE x <> '');
    SELECT a.* INTO v_asked FROM lock_engine.ask_tenants(v_new, 15) a;
    v_busy := ARRAY(SELECT x FROM unnest(v_new) x WHERE x <> ALL (v_asked.free)) || ''::bytea;
    v_reason := coalesce(v_asked.reason, v_reason);
    PERFORM lock_engine.set_aside(p_since, v_busy, v_reason);
    BEGIN
      PERFORM lock_engine.follow_hubs(p_since);
      PERFORM lock_engine.check_keys();
    EXCEPTION
      WHEN OTHERS THEN
        IF lock_engine.ends_all(SQLSTATE, false) THEN
          RAISE;
        END IF;
        -- locked between the question and the check
        PERFORM lock_engine.set_aside(p_since, NULL, SQLERRM);
        PERFORM lock_engine.follow_hubs(p_since);
        PERFORM lock_engine.check_keys(false);
    END;
    PERFORM lock_engine.forget_tenant(g) FROM unnest(v_asked.gone) g;
  END IF;
  IF v_reason IS NOT NULL THEN
    PERFORM lock_engine.note_aside(v_reason);
    PERFORM lock_engine.say_unseen();
  END IF;
  RETURN v_left;
END
$$;
COMMENT ON FUNCTION lock_engine.place_around(timestamptz) IS
  'The uncommon way of lock_engine.place_rows. p_since: what this transaction wrote is no older; NULL: it wrote nothing.';
