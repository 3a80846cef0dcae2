-- How far a long statement is, by PostgreSQL's progress views: of the phase that it is in, because how long later phases take is not
-- known. What remains is told from the pace since the statement began, so only where the phase is its first work.
CREATE OR REPLACE FUNCTION lock_catalog.progress_of(p_pid integer, OUT command text, OUT phase text, OUT percent numeric, OUT seconds_left numeric)
RETURNS record
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_done numeric;
  v_all numeric;
  v_first boolean := false;
  v_since timestamptz;
BEGIN
  SELECT 'VACUUM', v.phase, CASE v.phase WHEN 'vacuuming heap' THEN v.heap_blks_vacuumed WHEN 'scanning heap' THEN v.heap_blks_scanned END,
         v.heap_blks_total, v.phase = 'scanning heap'
    INTO command, phase, v_done, v_all, v_first FROM pg_stat_progress_vacuum v WHERE v.pid = p_pid;
  IF command IS NULL THEN
    SELECT v.command, v.phase,
           CASE WHEN v.phase LIKE 'waiting%' THEN v.lockers_done WHEN v.tuples_total > 0 THEN v.tuples_done ELSE v.blocks_done END,
           CASE WHEN v.phase LIKE 'waiting%' THEN v.lockers_total WHEN v.tuples_total > 0 THEN v.tuples_total ELSE v.blocks_total END,
           v.phase LIKE 'building index: scanning%'
      INTO command, phase, v_done, v_all, v_first FROM pg_stat_progress_create_index v WHERE v.pid = p_pid;
  END IF;
  IF command IS NULL THEN
    SELECT v.command, v.phase, CASE v.phase WHEN 'seq scanning heap' THEN v.heap_blks_scanned END, v.heap_blks_total, true
      INTO command, phase, v_done, v_all, v_first FROM pg_stat_progress_cluster v WHERE v.pid = p_pid;
  END IF;
  IF command IS NULL THEN
    SELECT 'ANALYZE', v.phase, CASE WHEN v.phase LIKE 'acquiring sample%' THEN v.sample_blks_scanned END, v.sample_blks_total, false
      INTO command, phase, v_done, v_all, v_first FROM pg_stat_progress_analyze v WHERE v.pid = p_pid;
  END IF;
  IF command IS NULL THEN
    SELECT 'BASE_BACKUP', v.phase, v.backup_streamed, v.backup_total, v.phase = 'streaming database files'
      INTO command, phase, v_done, v_all, v_first FROM pg_stat_progress_basebackup v WHERE v.pid = p_pid;
  END IF;
  IF command IS NULL AND current_setting('server_version_num')::integer >= 140000 THEN
    SELECT v.command, format('%s rows', v.tuples_processed), v.bytes_processed, v.bytes_total, true
      INTO command, phase, v_done, v_all, v_first FROM pg_stat_progress_copy v WHERE v.pid = p_pid;
  END IF;
  IF v_all > 0 AND v_done <= v_all THEN
    percent := round(100 * v_done / v_all, 1);
    SELECT s.query_start INTO v_since FROM pg_stat_get_activity(p_pid) s;
    IF v_first AND v_done > 0 THEN
      seconds_left := round(extract(epoch FROM clock_timestamp() - v_since)::numeric * (v_all - v_done) / v_done, 1);
    END IF;
  END IF;
END
$$;
COMMENT ON FUNCTION lock_catalog.progress_of(integer) IS
  'Progress of VACUUM, CREATE INDEX and REINDEX, CLUSTER and VACUUM FULL, ANALYZE, a base backup or COPY in this process; all NULL for what has none. percent: of the phase, NULL '
  'where PostgreSQL does not tell. seconds_left: of the phase, if it goes on as since the statement began; NULL where that says nothing.';
