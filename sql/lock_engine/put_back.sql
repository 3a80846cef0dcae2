-- pg_advisory_unlock gives back a session's lock once, and says false where there is none: a transaction's own lock stays.
-- Our own keys (460, n) are given back whether they were there before or not: no session that asks holds one for itself.
CREATE OR REPLACE FUNCTION lock_engine.put_back(p_locks text[], p_prepared text[])
RETURNS text[]
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_lock text;
  v_part text[];
  v_key bigint;
  v_shared boolean;
  v_given integer;
  v_name text;
  v_left text[] := '{}';
BEGIN
  FOREACH v_lock IN ARRAY lock_engine.session_locks() LOOP
    v_part := string_to_array(v_lock, ' ');
    CONTINUE WHEN v_lock = ANY (p_locks) AND (v_part[1], v_part[3]) <> ('460', '2');
    v_shared := v_part[4] = 'ShareLock';
    v_key := (v_part[1]::bigint << 32) | v_part[2]::bigint;
    v_given := 0;
    WHILE CASE
            WHEN v_part[3] = '2' AND v_shared THEN pg_advisory_unlock_shared((v_key >> 32)::bit(32)::integer, v_part[2]::bigint::bit(32)::integer)
            WHEN v_part[3] = '2' THEN pg_advisory_unlock((v_key >> 32)::bit(32)::integer, v_part[2]::bigint::bit(32)::integer)
            WHEN v_shared THEN pg_advisory_unlock_shared(v_key)
            ELSE pg_advisory_unlock(v_key) END LOOP
      v_given := v_given + 1;
    END LOOP;
    IF v_given > 0 THEN
      v_left := v_left || format('advisory lock (%s, %s)', v_part[1], v_part[2]);
    END IF;
  END LOOP;
  -- what the session had and has no more was its own: a transaction's lock cannot be given back
  FOREACH v_lock IN ARRAY p_locks LOOP
    v_part := string_to_array(v_lock, ' ');
    CONTINUE WHEN (v_part[1], v_part[3]) = ('460', '2') OR v_lock = ANY (lock_engine.session_locks());
    v_shared := v_part[4] = 'ShareLock';
    v_key := (v_part[1]::bigint << 32) | v_part[2]::bigint;
    v_left := v_left || format(
      CASE WHEN CASE
            WHEN v_part[3] = '2' AND v_shared THEN pg_try_advisory_lock_shared((v_key >> 32)::bit(32)::integer, v_part[2]::bigint::bit(32)::integer)
            WHEN v_part[3] = '2' THEN pg_try_advisory_lock((v_key >> 32)::bit(32)::integer, v_part[2]::bigint::bit(32)::integer)
            WHEN v_shared THEN pg_try_advisory_lock_shared(v_key)
            ELSE pg_try_advisory_lock(v_key) END
           THEN 'no more advisory lock (%s, %s)' ELSE 'no more advisory lock (%s, %s), which another session has now,' END, v_part[1], v_part[2]);
  END LOOP;
  FOR v_name IN SELECT p.name FROM pg_prepared_statements p WHERE format('%s %s', p.name, p.prepare_time) <> ALL (p_prepared) LOOP
    EXECUTE format('DEALLOCATE %I', v_name);
    v_left := v_left || format('prepared statement %s', v_name);
  END LOOP;
  RETURN v_left;
END
$$;
COMMENT ON FUNCTION lock_engine.put_back(text[], text[]) IS
  'Gives back the session''s advisory locks and prepared statements that are not among these (lock_engine.session_locks(); "name prepare_time"); '
  'which there were, in words. Takes again those of these that are gone.';
