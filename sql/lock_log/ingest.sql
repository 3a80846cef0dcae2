-- The way in for files that a client reads: a local path, an upload. For lock_admin_role, because it adds to the history.
CREATE OR REPLACE FUNCTION lock_log.ingest(
  p_source text, p_format text, p_start bigint, p_data bytea, p_at_end boolean, p_log_line_prefix text DEFAULT NULL, p_time_zone text DEFAULT NULL,
  OUT consumed bigint, OUT records integer, OUT unreadable integer, OUT foreign_zone text, OUT heads integer, OUT claimed integer)
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_prefix text := coalesce(p_log_line_prefix, current_setting('log_line_prefix'));
  v_zone text := coalesce(p_time_zone, current_setting('log_timezone'));
  -- lock_log.own_file() may have said so
  v_source text := CASE WHEN EXISTS (SELECT FROM lock_log.source s WHERE s.source = p_source AND s.own_server) THEN 'own:' ELSE 'file:' END || p_source;
  v_last bigint := (SELECT max(e.event_id) FROM lock_log.event e);
  t record;
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  IF p_format NOT IN ('csvlog', 'jsonlog', 'stderr') THEN
    RAISE EXCEPTION 'Log format "%" is unknown: it is csvlog, jsonlog or stderr.', p_format USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF p_format = 'stderr' THEN PERFORM lock_log.require_prefix(v_prefix); END IF;
  BEGIN
    PERFORM clock_timestamp() AT TIME ZONE v_zone;
  EXCEPTION WHEN data_exception THEN
    RAISE EXCEPTION 'Time zone "%" is unknown: say a name as in pg_timezone_names, for example Europe/Berlin.', v_zone
      USING ERRCODE = 'invalid_parameter_value', COLUMN = 'time_zone';
  END;
  IF p_start < 0 OR p_data IS NULL THEN
    RAISE EXCEPTION 'Nothing to read.' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  PERFORM pg_advisory_xact_lock(460, 5);
  SELECT * INTO t FROM lock_log.take(v_source, p_format, p_start, p_data, CASE WHEN p_at_end THEN 'whole' WHEN NOT p_at_end THEN 'more' ELSE 'still' END, ARRAY[v_prefix], v_zone, NULL, NULL);
  consumed := t.consumed; records := t.records; unreadable := t.unreadable; foreign_zone := t.foreign_zone;
  heads := t.heads;
  IF p_start = 0 THEN
    INSERT INTO lock_log.source AS s (source, position, head_length, head_hash, last_read_at)
    VALUES (p_source, t.consumed, least(length(p_data), 256), md5(substr(p_data, 1, 256)), clock_timestamp())
    ON CONFLICT (source) DO UPDATE SET position = EXCLUDED.position, head_length = EXCLUDED.head_length,
      head_hash = EXCLUDED.head_hash, last_read_at = EXCLUDED.last_read_at;
  ELSE
    UPDATE lock_log.source s SET position = p_start + t.consumed, last_read_at = clock_timestamp() WHERE s.source = p_source;
  END IF;
  -- whose they are may be locked, or not known yet
  PERFORM lock_engine.defer_keys(clock_timestamp());
  PERFORM lock_engine.prove_claims();
  PERFORM lock_engine.store_logged_deadlocks();
  PERFORM lock_engine.place_rows();
  claimed := (SELECT count(*) FROM lock_log.event e
               WHERE e.event_id > coalesce(v_last, 0) AND e.source = v_source AND e.standing = 'claimed');
END
$$;
COMMENT ON FUNCTION lock_log.ingest(text, text, bigint, bytea, boolean, text, text) IS
  'Takes a piece of a log file that begins at byte p_start of p_source. p_at_end: the file ends here; NULL: for now, a line '
  'without its end is left; false: it goes on. Returns the bytes '
  'consumed (send the rest again with what follows), records newly stored, records of no known form, and a zone''s abbreviation in them '
  'that p_time_zone (NULL: this server''s log_timezone) does not have at that moment; '
  'heads: of stderr, the lines that have the prefix; claimed: how many of the new records the log only claims (lock_log.event.standing). Needs lock_admin_role.';
ALTER FUNCTION lock_log.ingest(text, text, bigint, bytea, boolean, text, text) OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_log.ingest(text, text, bigint, bytea, boolean, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_log.ingest(text, text, bigint, bytea, boolean, text, text) TO lock_admin_role;
