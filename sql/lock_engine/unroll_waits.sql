-- What was rolled up from an hour on is forgotten, to be added up anew: a gap was found in it, or rows have come.
CREATE OR REPLACE FUNCTION lock_engine.unroll_waits(p_from timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  v_hour timestamptz := date_trunc('hour', p_from, 'UTC');
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  -- a roll-up that is under way is not waited for: a look must not wait, and it cuts by what has passed since the last look
  PERFORM 1 FROM lock_engine.wait_rollup_state s WHERE s.rolled_until > v_hour FOR UPDATE SKIP LOCKED;
  IF FOUND THEN
    DELETE FROM lock_engine.wait_rollup r WHERE r.hour >= v_hour;
    UPDATE lock_engine.wait_rollup_state s SET rolled_until = greatest(v_hour, s.rolled_from), counted_until = CASE WHEN s.counted_until IS NOT NULL THEN least(s.counted_until, v_hour) END;
  END IF;
END
$$;
COMMENT ON FUNCTION lock_engine.unroll_waits(timestamptz) IS
  'Takes the hours from a moment on out of lock_engine.wait_rollup; lock_engine.roll_up_waits() adds them up again.';
ALTER FUNCTION lock_engine.unroll_waits(timestamptz) OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_engine.unroll_waits(timestamptz) FROM PUBLIC;

CREATE OR REPLACE FUNCTION lock_engine.gap_changes_the_past()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF current_user <> 'lock_vault_owner' THEN PERFORM lock_engine.require_owner('lock_vault_owner'); END IF;
  PERFORM lock_engine.unroll_waits(CASE TG_OP WHEN 'INSERT' THEN NEW.gap_start ELSE least(NEW.gap_start, OLD.gap_start) END);
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION lock_engine.gap_changes_the_past() IS
  'Trigger of lock_engine.coverage_gap: hours that were added up before a gap in them was known are added up again.';
ALTER FUNCTION lock_engine.gap_changes_the_past() OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_engine.gap_changes_the_past() FROM PUBLIC;
DROP TRIGGER IF EXISTS gap_changes_the_past ON lock_engine.coverage_gap;
CREATE TRIGGER gap_changes_the_past AFTER INSERT OR UPDATE OF gap_start, gap_end ON lock_engine.coverage_gap
  FOR EACH ROW EXECUTE FUNCTION lock_engine.gap_changes_the_past();
