"""Running the manifests through psycopg, in one transaction."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import psycopg

from lockmon import session
from lockmon.install import manifest, ownership

APPLICATION_NAME = "one_vault_lockmon:install"
CONNECT_SECONDS = 10
# Whoever holds a table for longer gets the better of an install, and of looking at one.
_SETTINGS = {
    "role": "none",
    "lock_timeout": "10s",
    "statement_timeout": "5min",
    "idle_in_transaction_session_timeout": "5min",
}

# Whoever reads several views of the vault takes them in another order than an install that replaces them.
_ATTEMPTS = 5

Progress = Callable[[str], None]
Connection = psycopg.Connection[Any]


class InstallError(Exception):
    """It was not installed, and nothing was changed. The message is one sentence for a person."""


@dataclass(frozen=True)
class Installation:
    """What an install did. `changed` is False where everything was there already, as it should be.

    `files` is how many were run: none, where a look was enough.
    """

    database: str
    server: str
    files: int
    changed: bool
    seconds: float


def connect(dsn: str) -> Connection:
    """Connect with a libpq connection string or URL.

    Raises InstallError with one sentence where that is not possible.
    """
    try:
        given = psycopg.conninfo.conninfo_to_dict(dsn)
        opened, _pid = session.connect(
            lambda options: psycopg.connect(
                dsn,
                connect_timeout=CONNECT_SECONDS,
                application_name=APPLICATION_NAME,
                options=options,
                autocommit=True,
            ),
            session.place(given),
            session.Session.of(
                _SETTINGS,
                session.parse(str(given.get("options") or "")),
                {"search_path": session.SEARCH_PATH},
            ),
        )
        return opened
    except psycopg.ProgrammingError as error:
        raise InstallError(f"This is no connection string: {_first_line(error)}.") from error
    except psycopg.OperationalError as error:
        raise InstallError(f"The database cannot be reached: {_first_line(error)}.") from error


def install(
    dsn: str, progress: Progress | None = None, *, again: bool = False, system_tenant: str | None = None
) -> Installation:
    """Install over a connection of its own as the DBA of `dsn`; see install_on."""
    with connect(dsn) as connection:
        return install_on(connection, progress, again=again, system_tenant=system_tenant)


def install_on(
    connection: Connection,
    progress: Progress | None = None,
    *,
    again: bool = False,
    system_tenant: str | None = None,
) -> Installation:
    """Install both steps in one transaction; run again, it changes nothing.

    Where these very files are installed and nothing is missing it only looks, and holds nobody up; `again`
    runs the files nevertheless. While another install runs it waits for that one, up to a minute. The
    connection must be idle. `progress` is told a line for each stage, and what the DBA should know.
    `system_tenant`: business key, or key as \\x and hexadecimal digits, of the site's tenant that sessions of
    nobody's belong to; the site's own or a new one where it is not given. Raises InstallError with one
    sentence; then nothing was changed.
    """
    tell = progress or (lambda line: None)
    began = time.monotonic()
    listed = manifest.sources()
    again = again or system_tenant is not None
    if not again and _is_up_to_date(connection):
        return _done(connection, 0, False, began)
    outcome = _Outcome()
    for attempt in range(1, _ATTEMPTS + 1):
        progressing = _Progress(listed[0])
        try:
            outcome = _run(connection, listed, progressing, tell, again, system_tenant)
            break
        except psycopg.errors.DeadlockDetected as error:
            # with whoever reads the vault meanwhile; all of it was taken back
            if attempt == _ATTEMPTS:
                raise InstallError(_sentence(error, progressing.source.name)) from error
            tell("A session that reads the vault and this install waited for each other: once more.")
        except psycopg.Error as error:
            raise InstallError(_sentence(error, progressing.source.name)) from error
        except OSError as error:
            raise InstallError(
                f"The file sql/{progressing.source.name} cannot be read: {error.strerror}."
            ) from error
    return _done(connection, outcome.files, outcome.changed, began)


@dataclass(frozen=True)
class _Outcome:
    """How many files were run, and whether they changed anything."""

    files: int = 0
    changed: bool = False


@dataclass
class _Progress:
    """Which file is being run."""

    source: manifest.Source


def _run(
    connection: Connection,
    listed: Sequence[manifest.Source],
    progressing: _Progress,
    tell: Progress,
    again: bool,
    system_tenant: str | None,
) -> _Outcome:
    """Run the files in one transaction; none where another installer, that was waited for, did it."""
    with connection.cursor() as cursor, connection.transaction():
        # The first file waits for other installers: what was there before is known only then.
        cursor.execute(listed[0].text)
        before = _last_installation(cursor)
        if not again and before is not None and _is_up_to_date(connection):
            return _Outcome()
        if system_tenant is not None:
            cursor.execute("SELECT set_config('one_vault.system_tenant', %s, true)", [system_tenant])
        for source in listed[1:]:
            progressing.source = source
            if source.note:
                tell(source.note)
            # Files of the project, without parameters: several statements in one go.
            cursor.execute(source.text)
        cursor.execute("SELECT n.sentence FROM pg_temp.lockmon_note AS n ORDER BY n.note_id")
        for (sentence,) in cursor.fetchall():
            tell(sentence)
        _record_files_hash(cursor)
        return _Outcome(len(listed), before != _last_installation(cursor))


def _done(connection: Connection, files: int, changed: bool, began: float) -> Installation:
    info = connection.info
    return Installation(
        database=info.dbname,
        server=info.parameter_status("server_version") or "",
        files=files,
        changed=changed,
        seconds=time.monotonic() - began,
    )


def _is_up_to_date(connection: Connection) -> bool:
    """Whether the last install ran these files, nothing was altered since and nothing is missing."""
    from lockmon.install.verification import verify

    try:
        with ownership.pinned(connection):
            if not ownership.may_be_read(connection):
                return False
            row = connection.execute(
                """
                SELECT i.files_hash = %s AND i.catalog_hash = %s
                       AND i.server_version / 10000 = current_setting('server_version_num')::integer / 10000
                FROM lock_engine.installation AS i ORDER BY i.installation_id DESC LIMIT 1
                """,
                [manifest.files_hash(), catalog_hash(connection)],
            ).fetchone()
            return row is not None and bool(row[0]) and all(check.passed for check in verify(connection))
    except psycopg.DatabaseError:
        # Whatever it is, the install itself meets it again and says so.
        return False


def catalog_hash(connection: Connection) -> str:
    """The digest of the definitions in this database, by this release's file: whoever could have changed the
    installed function is not run."""
    (body,) = manifest.contents().bodies["lock_engine.catalog_hash"]
    with ownership.pinned(connection):
        row = connection.execute(body.encode()).fetchone()
    assert row is not None
    return str(row[0])


def _last_installation(cursor: psycopg.Cursor[Any]) -> int | None:
    if not ownership.may_be_read(cursor.connection):
        return None
    cursor.execute("SELECT max(installation_id) FROM lock_engine.installation")
    return cast("int | None", _value(cursor))


def _record_files_hash(cursor: psycopg.Cursor[Any]) -> None:
    cursor.execute(
        """
        UPDATE lock_engine.installation AS i
        SET files_hash = %(now)s
        WHERE i.installation_id = (SELECT max(l.installation_id) FROM lock_engine.installation AS l)
          AND i.files_hash IS DISTINCT FROM %(now)s
        """,
        {"now": manifest.files_hash()},
    )


def _value(cursor: psycopg.Cursor[Any]) -> Any:
    row = cursor.fetchone()
    return row[0] if row else None


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    line = lines[0] if lines else type(error).__name__
    # psycopg puts its own words before libpq's.
    return re.sub(r"^(connection is bad: |connection failed: )+", "", line).rstrip(".")


def _sentence(error: psycopg.Error, file: str) -> str:
    message = (error.diag.message_primary or _first_line(error)).strip()
    if "Nothing was changed." in message:
        return message
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return (
            f"Another session holds a lock that the install needs (sql/{file}) for over 10 seconds; "
            "try again when it has ended. Nothing was changed."
        )
    if error.diag.message_primary is None:
        return f"The connection was lost while installing: {message.rstrip('.')}. Nothing was changed."
    return f"sql/{file} failed: {message.rstrip('.')}. Nothing was changed."
