"""Vaults of living sites: the dumps of earlier releases in tests/data/releases, restored."""

from __future__ import annotations

import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.support import catalog, sites
from tests.support.servers import Server

FOLDER = sites.DATA / "releases"

_MOVE = """
SELECT format('UPDATE %%s SET %%s', a.attrelid::regclass,
              string_agg(format('%%1$I = %%1$I + %%2$L::interval', a.attname, %(by)s::interval), ', '))
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
WHERE c.relkind = 'r' AND c.relnamespace::regnamespace::text = ANY(%(schemas)s) AND a.attnum > 0
  AND NOT a.attisdropped AND a.atttypid = 'timestamptz'::regtype AND a.attgenerated = ''
GROUP BY a.attrelid
"""

# text columns (also arrays and jsonb) of every table
_TEXTS = """
SELECT c.oid::regclass::text, a.attname, a.atttypid::regtype::text
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
WHERE c.relkind = 'r' AND c.relnamespace::regnamespace::text = ANY(%s) AND a.attnum > 0 AND NOT a.attisdropped
  AND a.atttypid::regtype::text
      IN ('text', 'character varying', 'name', 'text[]', 'character varying[]', 'jsonb')
ORDER BY 1, a.attnum
"""
_READABLE = """
CREATE OR REPLACE FUNCTION pg_temp.readable(p_value text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM convert_from(textsend(p_value), getdatabaseencoding());
  RETURN true;
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
  RETURN false;
END $$
"""


def restore(server: Server, release: str, *, unreadable: bool = False) -> str:
    """Restore a release's dump into a new database as a site's DBA would; its name.

    With `unreadable`, the bytes stand in it that its sessions of another encoding left there.
    """
    name = server.create_database()
    for file in (f"{release}.sql", *([f"{release}_unreadable.sql"] if unreadable else [])):
        done = sites.psql(server, name, "-q", "-v", "ON_ERROR_STOP=1", "-f", file, folder=FOLDER)
        assert done.returncode == 0, done.stderr
    return name


def dumped(server: Server, name: str) -> str:
    """What pg_dump says of a database, without what only servers and psqls as new as pg_dump know."""
    command = [server.program("pg_dump"), "-d", server.dsn(name)]
    said = subprocess.run(command, check=True, capture_output=True, timeout=120).stdout.decode("utf-8")
    return re.sub(r"(?m)^(\\(un)?restrict .*|SET transaction_timeout = 0;)\n", "", said)


def files(release: str, folder: Path) -> Path:
    """Unpack the release's own sql/ below this folder; where it is (git archive COMMIT:sql made it)."""
    with tarfile.open(FOLDER / f"{release}_files.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / release


def code(release: str, folder: Path) -> Path:
    """Unpack the release's own code and sql/ below this folder; the folder that its manage.py is in.

    RELEASE_code.tar.gz: git archive --prefix=RELEASE/ COMMIT lockmon onevault manage.py templates.
    """
    with tarfile.open(FOLDER / f"{release}_code.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    files(release, folder / "unpacked").rename(folder / release / "sql")
    return folder / release


def move(connection: psycopg.Connection[Any], by: str) -> None:
    """All that was recorded happened later by this interval ('-7 hours': earlier)."""
    with connection.transaction():
        # the action log refuses a change even of a replica
        always = connection.execute(
            "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE tgenabled = 'A'"
        ).fetchall()
        for table, trigger in always:
            connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER {trigger}")
        connection.execute("SET LOCAL session_replication_role = replica")
        found = connection.execute(_MOVE, {"by": by, "schemas": list(catalog.OURS)}).fetchall()
        for (statement,) in found:
            connection.execute(statement)
        for table, trigger in always:
            connection.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")


def unreadable_values(connection: psycopg.Connection[Any]) -> list[tuple[str, str, str, str, bytes]]:
    """Values that the database's encoding does not know: table, column, type, ctid, bytes of its text."""
    connection.execute(_READABLE)
    values = []
    for table, column, kind in connection.execute(_TEXTS, [list(catalog.OURS)]).fetchall():
        found = connection.execute(
            sql.SQL(
                "SELECT ctid::text, textsend({c}::text) FROM {t}"
                " WHERE {c} IS NOT NULL AND NOT pg_temp.readable({c}::text)"
            ).format(c=sql.Identifier(column), t=sql.SQL(table))
        ).fetchall()
        values += [(table, column, kind, ctid, raw) for ctid, raw in found]
    return values
