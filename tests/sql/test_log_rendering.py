"""The renderer of stderr text that the tests of the log reader stand on: it writes what PostgreSQL writes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.support import log_scenes, recordings
from tests.support.log_play import DATABASE, Player, prepared
from tests.support.log_render import DEFAULT, TERSE, VERBOSE, Renderer, read_csv
from tests.support.poll import poll
from tests.support.servers import Server

PREFIXES = (
    ("%m [%p] ", TERSE),
    ("%m [%p] %q%u@%d/%a ", DEFAULT),
    ("%t-%c-", VERBOSE),
    ("%n %8p %-6p|%e|%l|%%|%v %x [%a,%u,%d] %-30a>%40u %b %i: ", DEFAULT),
    ("%-5l%q%s %r %h (%P) %Q %z%30b<%-20i", VERBOSE),
)


@pytest.mark.parametrize("language", recordings.LANGUAGES)
def test_what_was_recorded_is_rendered_letter_by_letter(language: str) -> None:
    recorded = recordings.load(language)
    made: defaultdict[str, str] = defaultdict(str)
    renderer = Renderer("%m [%p] ", VERBOSE, recorded.words)
    for record in recorded.records:
        made[record.pid] += "".join(renderer.record(record))
    written: defaultdict[str, str] = defaultdict(str)
    pid = ""
    for line in recorded.stderr.decode().splitlines(keepends=True):
        if not line.startswith("\t"):
            pid = line.split("[", 1)[1].split("]", 1)[0]
        written[pid] += line
    assert dict(made) == dict(written)


@pytest.fixture(scope="module")
def played(server: Server) -> Iterator[str]:
    """The database of the play on the server of the tests, whose settings are as before at the end."""
    with prepared(server):
        yield DATABASE
    for name in ("log_line_prefix", "log_error_verbosity"):
        server.execute(f"ALTER SYSTEM RESET {name}")
    server.execute("SELECT pg_reload_conf()")


def _file(server: Server, form: str) -> Path:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        row = connection.execute("SELECT pg_current_logfile(%s)", [form]).fetchone()
    assert row is not None
    return Path(server.cluster.data / row[0])


def _set(server: Server, settings: dict[str, str]) -> None:
    """Change settings of the whole server; returns when new sessions have them."""
    for name, value in settings.items():
        server.execute(
            sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)).as_string()
        )
    server.execute("SELECT pg_reload_conf()")

    def there() -> bool:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            asked = "SELECT name, setting FROM pg_settings WHERE name = ANY (%s)"
            return dict(connection.execute(asked, [list(settings)]).fetchall()) == settings

    poll(there, 10, "the settings after a reload")


@pytest.mark.parametrize(("prefix", "verbosity"), PREFIXES)
def test_a_real_server_writes_the_same(server: Server, played: str, prefix: str, verbosity: str) -> None:
    _set(server, {"log_line_prefix": prefix, "log_error_verbosity": verbosity})
    files = {form: _file(server, form) for form in ("csvlog", "stderr")}
    before = {form: path.stat().st_size for form, path in files.items()}
    player = Player(server, played, files["csvlog"])
    for scene in (log_scenes.rows_in_a_ring, log_scenes.tables_in_a_ring, log_scenes.refusals):
        player.play(scene)
    if not re.search(r"%-?\d*l", prefix):
        # a background process has counted lines from before
        player.play(log_scenes.nothing_about_locks)
    player.close()

    def added(form: str) -> bytes:
        return files[form].read_bytes()[before[form] :]

    def same() -> bool:
        renderer = Renderer(prefix, verbosity)
        made = ["".join(renderer.record(record)) for record in read_csv(added("csvlog"))]
        written = added("stderr").decode()
        return sorted(written.split("\n")) == sorted("".join(made).split("\n")) and all(
            text in written for text in made
        )

    poll(same, 5, "the same in both formats", 0.1)
