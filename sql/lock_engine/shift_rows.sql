-- Between a published table and the one beside it, column by column, so that a row keeps its times, its key and its
-- satellite_id. A satellite that a site has partitioned is read without what is aside of it (see lock_engine.join_aside);
-- of a hub or a link without a place beside it the rows are given up, and what they told is stored anew once it can be.
CREATE OR REPLACE FUNCTION lock_engine.shift_rows(
  p_table text, p_to_aside boolean, p_condition text, p_keys bytea[], p_others bytea[], p_since timestamptz)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_count bigint;
  -- a column that a site has given its partitioned table since the install has no place in the copy
  v_columns text := (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
                       FROM pg_attribute a
                       JOIN pg_attribute b ON b.attrelid = ('lock_engine.aside_' || p_table)::regclass AND b.attname = a.attname AND NOT b.attisdropped
                      WHERE a.attrelid = ('lock_monitoring.' || p_table)::regclass AND a.attnum > 0 AND NOT a.attisdropped);
  v_published text := 'lock_monitoring.' || p_table;
  v_aside text := 'lock_engine.aside_' || p_table;
  -- a satellite goes the way of its hub, a link that of both
  v_with text[] := CASE p_table WHEN 'lock_blocking_l' THEN ARRAY['lock_activity_h', 'blocking_session_h', p_table]
                                WHEN 'deadlock_involvement_l' THEN ARRAY['lock_activity_h', 'deadlock_event_h', p_table]
                                ELSE ARRAY[regexp_replace(p_table, '_s$', '_h')] END;
  v_only text := CASE WHEN p_to_aside AND (SELECT c.relkind = 'p' FROM pg_class c
                                            WHERE c.oid = ('lock_monitoring.' || p_table)::regclass) THEN '' ELSE 'ONLY ' END;
BEGIN
  IF p_to_aside AND EXISTS (SELECT FROM unnest(v_with) AS n (name) WHERE NOT lock_engine.has_place_aside(n.name)) THEN
    EXECUTE format('DELETE FROM %s t WHERE %s', v_published, p_condition) USING p_keys, p_others, p_since;
  ELSE
    EXECUTE format('WITH moved AS (DELETE FROM %6$s%1$s t WHERE %3$s RETURNING t.*) '
                   'INSERT INTO %2$s (%4$s) OVERRIDING SYSTEM VALUE SELECT %4$s FROM moved%5$s',
                   CASE WHEN p_to_aside THEN v_published ELSE v_aside END,
                   CASE WHEN p_to_aside THEN v_aside ELSE v_published END, p_condition, v_columns,
                   -- a link is written again while the first one is aside; the first one stays
                   CASE WHEN p_table LIKE '%\_l' THEN ' ON CONFLICT DO NOTHING' ELSE '' END, v_only)
      USING p_keys, p_others, p_since;
  END IF;
  GET DIAGNOSTICS v_count = ROW_COUNT;
  RETURN v_count;
END
$$;
COMMENT ON FUNCTION lock_engine.shift_rows(text, boolean, text, bytea[], bytea[], timestamptz) IS
  'Moves rows of a table of lock_monitoring aside, or back; how many. The condition is on t, with $1, $2 keys and $3 a moment.';
