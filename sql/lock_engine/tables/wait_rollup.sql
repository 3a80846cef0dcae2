-- What whole hours add up to, so that a month is as cheap to show as a day. Made from the vault's rows once an hour is
-- past; whatever is not here yet is added up from the rows themselves (lock_engine.losses_between).
CREATE TABLE IF NOT EXISTS lock_engine.wait_rollup (
    hour       timestamptz NOT NULL,
    dimension  text NOT NULL,
    name       text,
    table_name text,
    row_page   integer,
    row_tuple  integer,
    seconds    double precision NOT NULL,
    begun      integer NOT NULL,
    longest    double precision
);
CREATE INDEX IF NOT EXISTS wait_rollup_dimension_hour ON lock_engine.wait_rollup (dimension, hour);
CREATE INDEX IF NOT EXISTS wait_rollup_hour ON lock_engine.wait_rollup (hour);

COMMENT ON TABLE lock_engine.wait_rollup IS 'Time lost by waiting, an hour each: by attributes of the root, by relation, by row, in all.';
COMMENT ON COLUMN lock_engine.wait_rollup.dimension IS
    'application, user, query, tenant, database (of the root blocker; name is its value); relation, row (name is the schema); '
    'all; claim (the tenant that whoever waited claimed, NULL: none); length (name is the number of the bucket, begun how many waits ended); watched (seconds of the hour in which somebody watched).';
COMMENT ON COLUMN lock_engine.wait_rollup.seconds IS 'Seconds lost within the hour.';
COMMENT ON COLUMN lock_engine.wait_rollup.begun IS 'Episodes or waits that began within the hour.';
COMMENT ON COLUMN lock_engine.wait_rollup.longest IS 'Seconds the longest of them had lasted by the end of the hour.';

CREATE TABLE IF NOT EXISTS lock_engine.wait_rollup_state (
    state_id     integer PRIMARY KEY DEFAULT 1 CHECK (state_id = 1),
    rolled_from  timestamptz NOT NULL,
    rolled_until timestamptz NOT NULL
);
ALTER TABLE lock_engine.wait_rollup_state ADD COLUMN IF NOT EXISTS counted_until timestamptz;
COMMENT ON COLUMN lock_engine.wait_rollup_state.counted_until IS
    'Hours before it were added up by a release that reckoned what is lost behind a root as sessions times cycles. NULL: none.';
COMMENT ON TABLE lock_engine.wait_rollup_state IS 'The whole hours that lock_engine.wait_rollup holds, one row.';
GRANT SELECT, INSERT, UPDATE, DELETE ON lock_engine.wait_rollup, lock_engine.wait_rollup_state TO lock_vault_owner;
GRANT SELECT ON lock_engine.wait_rollup, lock_engine.wait_rollup_state TO lock_monitoring_role;
