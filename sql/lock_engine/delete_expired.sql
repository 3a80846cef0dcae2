-- One batch of the vault's history: expired rows in the order of their load_date, and with the last row of a hub its links
-- and the hub. p_from and p_skip say where the batch before ended, so that none goes through the dead of those before it.
-- A hub that a living session may still write (p_living) is left with its rows, and so is one that somebody else holds or
-- refers to; they are found again by a later cleanup. The others are locked first and looked at again, so that no cycle
-- can give them a row meanwhile. By keys, never by place: a ctid is a place in one partition only.
CREATE OR REPLACE FUNCTION lock_engine.delete_expired(
  p_part text, p_before timestamptz, p_from timestamptz, p_skip integer, p_rows integer, p_living text[],
  OUT looked_at integer, OUT reached timestamptz, OUT skip integer, OUT deleted jsonb)
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
-- small against large: always the index of the key, whatever the statistics say after a mass of rows has gone
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_variable
DECLARE
  v_is text;
  v_expired text;
  v_link text;
  v_same text;
  v_referred text := '';
  v_unseen text := '';
  v_keys bytea[];
  v_dates timestamptz[];
  v_hubs bytea[];
  v_last bytea[];
  v_left bytea[];
  v_freed bytea[] := '{}';
  v_rows bigint;
  v_rows_there integer;
  v_links bigint := 0;
  v_gone bigint := 0;
  v_lock_hubs bigint := 0;
BEGIN
  v_is := CASE p_part WHEN 'locks' THEN 'lock_activity' WHEN 'sessions' THEN 'blocking_session'
                      WHEN 'deadlocks' THEN 'deadlock_event' WHEN 'analyses' THEN 'lock_wait_analysis' END;
  -- load_date, because both are in order of it and it has an index; a row cannot have ended before it began
  v_expired := CASE p_part
    WHEN 'deadlocks' THEN '(s.load_end_date < $1 OR (s.load_end_date IS NULL AND s.deadlock_timestamp < $1))'
    WHEN 'analyses' THEN '(s.load_end_date < $1 OR (s.load_end_date IS NULL AND s.analysis_period_end < $1))'
    ELSE 's.load_end_date < $1 AND s.load_date < $1' END;
  -- a partition is found by load_date; elsewhere the index of load_date must not be taken for that of the key: of one moment
  -- there may be ever so many rows
  v_same := CASE WHEN (SELECT c.relkind = 'p' FROM pg_class c WHERE c.oid = format('lock_monitoring.%s_s', v_is)::regclass)
                 THEN '=' ELSE 'IS NOT DISTINCT FROM' END;
  v_link := CASE WHEN p_part IN ('locks', 'sessions') THEN 'lock_blocking_l' WHEN p_part = 'deadlocks' THEN 'deadlock_involvement_l' END;
  IF p_part = 'locks' THEN
    v_referred := ' AND NOT EXISTS (SELECT FROM lock_monitoring.deadlock_involvement_l l WHERE l.lock_activity_hk = k.hk)';
  END IF;

  IF NOT lock_engine.has_place_aside(v_is || '_s') THEN
    -- what is aside of a partitioned satellite is not read through it
    v_unseen := format(' AND NOT EXISTS (SELECT FROM lock_engine.aside_%1$s_s a WHERE a.%1$s_hk = k.hk)', v_is);
  END IF;

  EXECUTE format('SELECT coalesce(array_agg(f.hk), ''{}''), coalesce(array_agg(f.load_date), ''{}''), max(f.load_date) '
                 'FROM (SELECT s.%1$s_hk AS hk, s.load_date FROM lock_monitoring.%1$s_s s '
                 'WHERE %2$s AND s.load_date >= $2 ORDER BY s.load_date OFFSET $3 LIMIT $4) f', v_is, v_expired)
    INTO v_keys, v_dates, reached USING p_before, p_from, p_skip, p_rows;
  looked_at := cardinality(v_keys);
  deleted := '{}';
  IF looked_at = 0 THEN
    reached := p_from;
    skip := p_skip;
    RETURN;
  END IF;

  EXECUTE format('SELECT coalesce(array_agg(h.hk), ''{}'') FROM ('
                 'SELECT h.%1$s_hk AS hk FROM lock_monitoring.%1$s_h h WHERE h.%1$s_hk = ANY ($1) '
                 'AND split_part(h.%1$s_bk, ''|'', 1) || ''|'' || split_part(h.%1$s_bk, ''|'', 2) <> ALL ($2) '
                 'FOR UPDATE SKIP LOCKED) h', v_is)
    INTO v_hubs USING v_keys, p_living;
  EXECUTE format('SELECT coalesce(array_agg(k.hk), ''{}'') FROM (SELECT DISTINCT x.hk FROM unnest($2) x (hk)) k '
                 'WHERE NOT EXISTS (SELECT FROM lock_monitoring.%1$s_s s WHERE s.%1$s_hk = k.hk AND (%2$s) IS NOT TRUE)%3$s',
                 v_is, v_expired, v_referred || v_unseen)
    INTO v_last USING p_before, v_keys;
  v_left := ARRAY(SELECT unnest(v_last) EXCEPT SELECT unnest(v_hubs));
  v_hubs := ARRAY(SELECT unnest(v_last) INTERSECT SELECT unnest(v_hubs));
  IF v_referred <> '' THEN
    -- a lock whose deadlock is not expired: its last rows stay with it
    v_left := v_left || ARRAY(
      SELECT DISTINCT k.hk FROM unnest(v_keys) k (hk)
       WHERE EXISTS (SELECT FROM lock_monitoring.deadlock_involvement_l l WHERE l.lock_activity_hk = k.hk));
  END IF;

  IF v_link IS NOT NULL THEN
    EXECUTE format('WITH gone AS (DELETE FROM lock_monitoring.%s l WHERE l.%s_hk = ANY ($1) RETURNING l.lock_activity_hk) '
                   'SELECT count(*), coalesce(array_agg(DISTINCT g.lock_activity_hk), ''{}'') FROM gone g', v_link, v_is)
      INTO v_links, v_freed USING v_hubs;
  END IF;
  EXECUTE format('WITH gone AS ('
                 'DELETE FROM lock_monitoring.%1$s_s s USING (SELECT u.hk, u.load_date FROM unnest($2, $3) u (hk, load_date) '
                 'WHERE u.hk NOT IN (SELECT unnest($4))) k '
                 'WHERE s.%1$s_hk = k.hk AND s.load_date %2$s k.load_date RETURNING s.load_date) '
                 'SELECT count(*), count(*) FILTER (WHERE g.load_date = $1) FROM gone g', v_is, v_same)
    INTO v_rows, v_rows_there USING reached, v_keys, v_dates, v_left;
  EXECUTE format('DELETE FROM lock_monitoring.%1$s_h h WHERE h.%1$s_hk = ANY ($1)', v_is) USING v_hubs;
  GET DIAGNOSTICS v_gone = ROW_COUNT;
  IF p_part = 'deadlocks' THEN
    -- locks that were known from these deadlocks alone
    v_lock_hubs := lock_engine.delete_empty_hubs('lock_activity', p_before, v_freed, p_living);
  END IF;

  skip := cardinality(array_positions(v_dates, reached)) - v_rows_there + CASE WHEN reached = p_from THEN p_skip ELSE 0 END;
  deleted := jsonb_build_object(v_is || '_s', v_rows, v_is || '_h', v_gone, 'kept', looked_at - v_rows);
  IF v_link IS NOT NULL THEN
    deleted := deleted || jsonb_build_object(v_link, v_links);
  END IF;
  IF v_lock_hubs > 0 THEN
    deleted := deleted || jsonb_build_object('lock_activity_h', v_lock_hubs);
  END IF;
END
$$;
COMMENT ON FUNCTION lock_engine.delete_expired(text, timestamptz, timestamptz, integer, integer, text[]) IS
  'Deletes up to p_rows expired rows of one part of the vault (deadlocks, locks, sessions, analyses) from p_from on, with links and '
  'hubs. looked_at: rows found, fewer than p_rows at the end; reached, skip: where the next batch begins; deleted: rows a table, '
  'kept: rows that stay with a hub that may still be written. Part of lock_engine.delete_batch.';
