-- When this vault was looked at first and last: what the gaps (lock_engine.coverage_gap) are cut out of. The row is written
-- with every look that was stored, so that a gap's beginning is known whatever ends the watching: nothing need be written
-- at the bad moment.
CREATE TABLE IF NOT EXISTS lock_engine.watch_state (
  watch_state_id smallint PRIMARY KEY DEFAULT 1,
  first_look_at timestamptz,
  last_look_at timestamptz,
  by_loop boolean NOT NULL DEFAULT false,
  patience interval NOT NULL DEFAULT interval '1.5 seconds',
  looker_pid integer,
  unseen_since timestamptz,
  CONSTRAINT watch_state_single CHECK (watch_state_id = 1)
) WITH (fillfactor = 10);
CALL pg_temp.add_columns('lock_engine.watch_state', ARRAY['compared_at timestamptz', 'compared_before timestamptz']);
COMMENT ON TABLE lock_engine.watch_state IS
  'One row: the first and the last look that was stored. Read lock_engine.watched_spans() and unwatched_spans(), which know the gaps.';
COMMENT ON COLUMN lock_engine.watch_state.first_look_at IS 'Begin of what is known; NULL: never looked.';
COMMENT ON COLUMN lock_engine.watch_state.last_look_at IS
  'The last moment at which the loop looked, or a cycle compared the vault with PostgreSQL, and could store it.';
COMMENT ON COLUMN lock_engine.watch_state.by_loop IS 'true: the last look was the resident loop''s; false: a cycle called from elsewhere (cron, psql).';
COMMENT ON COLUMN lock_engine.watch_state.patience IS 'A longer pause between two looks of the loop is a gap; a slow cycle makes it longer.';
COMMENT ON COLUMN lock_engine.watch_state.looker_pid IS 'Server process of the loop that leads, or led last.';
COMMENT ON COLUMN lock_engine.watch_state.unseen_since IS
  'Begin of a gap after which no cycle has compared the vault with PostgreSQL yet; NULL otherwise.';
COMMENT ON COLUMN lock_engine.watch_state.compared_at IS
  'The last moment at which a cycle compared the open rows with PostgreSQL: until then what is open was so.';
COMMENT ON COLUMN lock_engine.watch_state.compared_before IS 'The same as of the cycle before.';
GRANT SELECT, INSERT, UPDATE ON lock_engine.watch_state TO lock_vault_owner;
GRANT SELECT ON lock_engine.watch_state TO lock_monitoring_role, lock_door_owner;

-- A vault of an earlier release has no such row. What was watched follows from its half minutes of coverage: what lies
-- between two of them, and a half minute in which no cycle ran, was not watched; nor, as far as anybody knows, what is older.
DO $adopt$
DECLARE
  c_release constant text := 'recorded by an earlier release: ';
  v_first_row timestamptz;
  v_first timestamptz;
  v_last timestamptz;
BEGIN
  IF EXISTS (SELECT 1 FROM lock_engine.watch_state) THEN
    RETURN;
  END IF;
  SELECT min(c.period_start), max(c.period_end) INTO v_first, v_last FROM lock_engine.coverage c;
  SELECT least((SELECT min(s.load_date) FROM lock_monitoring.lock_activity_s s),
               (SELECT min(s.load_date) FROM lock_monitoring.blocking_session_s s)) INTO v_first_row;
  v_last := greatest(v_last, (SELECT h.last_look_at FROM lock_engine.heartbeat h),
                     (SELECT c.checked_at FROM lock_engine.cycle_state c));
  v_first := coalesce(v_first, v_last);
  INSERT INTO lock_engine.watch_state (watch_state_id, first_look_at, last_look_at, by_loop)
  VALUES (1, least(v_first_row, v_first), v_last,
          EXISTS (SELECT 1 FROM lock_engine.heartbeat h WHERE h.last_look_at = v_last));
  INSERT INTO lock_engine.coverage_gap (gap_start, gap_end, reason)
  SELECT v_first_row, v_first, c_release || 'when it looked is not known' WHERE v_first_row < v_first
  UNION ALL
  SELECT c.period_start, c.period_end, c_release || 'no cycle was stored in this half minute'
    FROM lock_engine.coverage c WHERE c.cycles_run = 0 AND c.period_end > c.period_start
  UNION ALL
  SELECT p.piece_start, p.piece_end, c_release || 'no look is stored'
    FROM (SELECT c.period_start,
                 max(c.period_end) OVER (ORDER BY c.period_start, c.period_end ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reach
            FROM lock_engine.coverage c) h
   CROSS JOIN LATERAL (
     SELECT min(g.gap_start) AS gap_start, max(g.gap_end) AS gap_end FROM lock_engine.coverage_gap g
      WHERE g.gap_end > h.reach AND g.gap_start < h.period_start) k
   CROSS JOIN LATERAL (VALUES (true, h.reach, least(k.gap_start, h.period_start)),
                               (k.gap_end IS NOT NULL, greatest(k.gap_end, h.reach), h.period_start)) AS p (is_one, piece_start, piece_end)
   WHERE h.period_start > h.reach + interval '5 seconds' AND p.is_one
     AND p.piece_end > p.piece_start + interval '1 second';
END
$adopt$;
