CREATE OR REPLACE FUNCTION lock_engine.name_gap(p_reason text, p_within_seconds double precision)
RETURNS double precision
LANGUAGE sql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT lock_engine.require_owner('lock_vault_owner');
  SELECT lock_engine.require_watcher();
  WITH named AS (
    UPDATE lock_engine.coverage_gap g SET reason = p_reason
     WHERE g.recorded_at > clock_timestamp() - make_interval(secs => p_within_seconds) AND g.reason = 'no look was stored'
    RETURNING g.gap_end - g.gap_start AS lasted)
  SELECT sum(date_part('epoch', n.lasted)) FROM named n
$$;
COMMENT ON FUNCTION lock_engine.name_gap(text, double precision) IS
  'Gives the gaps that were stored within the last seconds, for no reason that the server knows, the reason that the loop knows; '
  'returns their seconds, NULL if there is none.';
ALTER FUNCTION lock_engine.name_gap(text, double precision) OWNER TO lock_vault_owner;
REVOKE ALL ON FUNCTION lock_engine.name_gap(text, double precision) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_engine.name_gap(text, double precision) TO lock_monitoring_role;
