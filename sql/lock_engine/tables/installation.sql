CREATE TABLE IF NOT EXISTS lock_engine.installation (
    installation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    installed_at    timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    installed_by    text NOT NULL DEFAULT session_user,
    server_version  integer NOT NULL DEFAULT current_setting('server_version_num')::integer,
    catalog_hash    text NOT NULL,
    files_hash      text
);

COMMENT ON TABLE lock_engine.installation IS
    'One row for each install that changed something. An install that changed nothing leaves no row.';
COMMENT ON COLUMN lock_engine.installation.catalog_hash IS
    'Digest of the installed definitions (lock_engine.catalog_hash); another value now means that somebody altered them.';
COMMENT ON COLUMN lock_engine.installation.files_hash IS
    'Digest of the sql files, recorded by lockmon_deploy; NULL after an install through psql.';
