-- Before PostgreSQL 14 nothing tells when a wait began. This remembers, in a setting of the looking session, when each
-- (pid, object) was first seen waiting.
CREATE OR REPLACE FUNCTION lock_catalog.remembered_waits(p_pids integer[], p_objects bigint[])
RETURNS timestamptz[]
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_before jsonb;
  v_now double precision := extract(epoch FROM clock_timestamp());
  v_after jsonb;
  v_result timestamptz[];
BEGIN
  FOR v_try IN 1..2 LOOP
    BEGIN
      v_before := CASE v_try WHEN 1 THEN coalesce(nullif(current_setting('one_vault.waits_seen', true), ''), '{}') ELSE '{}' END::jsonb;
      -- a wait that began later than now is nobody's memory
      SELECT array_agg(to_timestamp(x.since) ORDER BY x.n), jsonb_object_agg(x.what, x.since)
        INTO v_result, v_after
        FROM (SELECT u.n, u.pid || ':' || u.object AS what,
                     least((v_before ->> (u.pid || ':' || u.object))::double precision, v_now) AS since
                FROM unnest(p_pids, p_objects) WITH ORDINALITY u(pid, object, n)) x;
      EXIT;
    EXCEPTION
      -- anybody may give a session this setting beforehand: what is no memory of ours is forgotten
      WHEN data_exception THEN NULL;
    END;
  END LOOP;
  IF v_after IS DISTINCT FROM v_before THEN
    PERFORM set_config('one_vault.waits_seen', v_after::text, false);
  END IF;
  RETURN v_result;
END
$$;
COMMENT ON FUNCTION lock_catalog.remembered_waits(integer[], bigint[]) IS
  'Since when this session has seen each of these waits, in the order given; for servers before PostgreSQL 14.';
