-- A look that cannot simply follow the last one: the first of this vault, one after a gap, or one after the server's clock
-- was set back (p_by_loop NULL: the loop's if the session is the loop's). A time that the clock has passed twice cannot be told apart in the record: what was watched of it counts
-- as unwatched, and a gap that a clock set too far ahead had made goes with the mistake.
CREATE OR REPLACE FUNCTION lock_engine.record_look(p_now timestamptz, p_by_loop boolean)
RETURNS timestamptz
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  c_small constant interval := interval '1 second';
  w record;
  v_twice timestamptz[];
  v_twice_end timestamptz[];
BEGIN
  SELECT s.*, coalesce(p_by_loop, s.looker_pid = pg_backend_pid(), false) AS looks_by_loop INTO w FROM lock_engine.watch_state s WHERE s.watch_state_id = 1 FOR UPDATE;
  IF w.last_look_at IS NULL THEN
    UPDATE lock_engine.watch_state s
       SET first_look_at = coalesce(s.first_look_at, p_now), last_look_at = p_now, by_loop = w.looks_by_loop
     WHERE s.watch_state_id = 1;
  ELSIF p_now >= w.last_look_at THEN
    INSERT INTO lock_engine.coverage_gap (gap_start, gap_end, reason)
    VALUES (w.last_look_at, p_now,
            CASE WHEN pg_postmaster_start_time() > w.last_look_at THEN 'the server was not running, or had just started'
                 ELSE coalesce((SELECT 'no lock could be stored: ' || p.last_error FROM lock_engine.part_state p, lock_engine.cycle_state c
                                 WHERE p.part = 'locks' AND p.failures_in_a_row > 0 AND c.locks_captured IS NULL
                                   AND c.stored_at IS NOT NULL),
                               'no look was stored') END);
    UPDATE lock_engine.watch_state s
       SET last_look_at = p_now, by_loop = w.looks_by_loop, unseen_since = coalesce(s.unseen_since, w.last_look_at)
     WHERE s.watch_state_id = 1;
    RETURN coalesce(w.unseen_since, w.last_look_at);
  ELSIF p_now < w.last_look_at - c_small THEN
    SELECT array_agg(f.s), array_agg(f.e) INTO v_twice, v_twice_end FROM lock_engine.free_of_gaps(p_now, w.last_look_at) f;
    DELETE FROM lock_engine.coverage_gap g WHERE g.gap_start >= p_now;
    UPDATE lock_engine.coverage_gap g SET gap_end = p_now WHERE g.gap_end > p_now;
    INSERT INTO lock_engine.coverage_gap (gap_start, gap_end, reason)
    SELECT greatest(t.s, w.first_look_at), t.e, format('the server''s clock was set back by %s s, so this time came twice',
                     round(extract(epoch FROM w.last_look_at - p_now)::numeric, 1))
      FROM unnest(v_twice, v_twice_end) AS t (s, e) WHERE t.e > greatest(t.s, w.first_look_at);
    UPDATE lock_engine.watch_state s
       SET first_look_at = least(s.first_look_at, p_now), last_look_at = p_now, by_loop = w.looks_by_loop
     WHERE s.watch_state_id = 1;
  END IF;
  RETURN w.unseen_since;
END
$$;
COMMENT ON FUNCTION lock_engine.record_look(timestamptz, boolean) IS
  'Stores a look that does not just follow the last one, and the gap before it. Returns the begin of the gap that no cycle has '
  'closed yet, NULL if there is none. Called by lock_engine.run_cycle and note_look.';
