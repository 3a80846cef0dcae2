-- All at once; if one of them is in the way, each half, down to the one it is: three hundred that are free cost one question,
-- one among them that is locked nine more. Whoever was not asked in time counts as not free.
CREATE OR REPLACE FUNCTION lock_engine.ask_tenants(
  p_tenants bytea[], p_waits integer, OUT free bytea[], OUT gone bytea[], OUT reason text)
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_waited integer := 0;
  v_from integer[] := ARRAY[1];
  v_to integer[] := ARRAY[cardinality(p_tenants)];
  v_first integer;
  v_last integer;
  v_state text;
  v_reason text;
BEGIN
  free := '{}';
  gone := '{}';
  WHILE cardinality(v_from) > 0 AND v_waited < p_waits LOOP
    v_first := v_from[1];
    v_last := v_to[1];
    v_from := v_from[2:];
    v_to := v_to[2:];
    CONTINUE WHEN v_last < v_first;
    SELECT s.state, s.reason INTO v_state, v_reason FROM lock_engine.tenant_state(p_tenants[v_first:v_last]) s;
    IF v_state = 'free' THEN
      free := free || p_tenants[v_first:v_last];
      CONTINUE;
    END IF;
    IF v_state = 'locked' THEN
      IF v_waited = 0 AND lock_engine.tenants_locked() THEN
        reason := 'auth.tenant_h is locked by another session';
        EXIT;
      END IF;
      v_waited := v_waited + 1;
    END IF;
    reason := v_reason;
    IF v_first < v_last THEN
      v_from := ARRAY[v_first, (v_first + v_last) / 2 + 1] || v_from;
      v_to := ARRAY[(v_first + v_last) / 2, v_last] || v_to;
      CONTINUE;
    END IF;
    IF v_state = 'gone' THEN
      gone := gone || p_tenants[v_first];
    END IF;
    UPDATE lock_engine.aside_tenant t SET tried_at = clock_timestamp(), tries = t.tries + 1, reason = v_reason
     WHERE t.tenant_hk = p_tenants[v_first];
  END LOOP;
END
$$;
COMMENT ON FUNCTION lock_engine.ask_tenants(bytea[], integer) IS
  'Which of these tenants can be had now, which the site has deleted, and why the last one asked cannot. '
  'p_waits: at most so many questions that wait, for a millisecond each.';
