-- From when on a record counts as of the monitor's time here. When a database was copied is known to the whole second
-- (lock_log.installed_since() is its end): what was logged within it is younger than the copy if it is of the copy.
CREATE OR REPLACE FUNCTION lock_log.counts_from(p_since timestamptz, p_database text)
RETURNS timestamptz
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RETURN p_since - CASE WHEN p_database = current_database() THEN interval '1 second' ELSE interval '0' END;
END
$$;
COMMENT ON FUNCTION lock_log.counts_from(timestamptz, text) IS
  'The moment from which on records of this database (p_database: the one that the record names, NULL if none) are taken where records since p_since are wanted.';
