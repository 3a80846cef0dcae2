-- Which database this vault acts in. The latest row counts; the table is the log of every change.
CREATE TABLE IF NOT EXISTS lock_engine.home (
    home_id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    system_identifier bigint,
    database_oid      oid,
    database_name     text NOT NULL,
    recorded_at       timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    recorded_by       text NOT NULL,
    reason            text NOT NULL,
    CHECK ((system_identifier IS NULL) = (database_oid IS NULL))
);

COMMENT ON TABLE lock_engine.home IS
    'The installation that this vault belongs to, latest row last. In any other database it is a copy: no policy acts, no alert is sent.';
COMMENT ON COLUMN lock_engine.home.system_identifier IS
    'pg_control_system() of the server; a standby has its primary''s. NULL: disarmed by hand (lock_admin.disarm).';
COMMENT ON COLUMN lock_engine.home.database_oid IS 'pg_database.oid; CREATE DATABASE .. TEMPLATE and a restored dump have another.';
