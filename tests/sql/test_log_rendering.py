"""The renderer of stderr text that the tests of the log reader stand on: it writes what PostgreSQL writes."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from tests.support import log_scenes, recordings
from tests.support.log_play import DATABASE, Player, log_files, prepared, settled
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


def _timeless(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \w+", "then", text)


@pytest.mark.parametrize(("prefix", "verbosity"), PREFIXES)
def test_a_real_server_writes_the_same(server: Server, played: str, prefix: str, verbosity: str) -> None:
    _set(server, {"log_line_prefix": prefix, "log_error_verbosity": verbosity})
    server.execute("CHECKPOINT")
    files = {form: path for form, path in log_files(server).items() if form != "jsonlog"}
    before = settled(server, files)
    player = Player(server, played, files["csvlog"])
    for scene in (log_scenes.rows_in_a_ring, log_scenes.tables_in_a_ring, log_scenes.refusals):
        player.play(scene)
    if not re.search(r"%-?\d*l", prefix):
        # a background process has counted lines from before
        player.play(log_scenes.nothing_about_locks)
    player.close()
    after = settled(server, files)
    logged = {form: path.read_bytes()[before[form] : after[form]] for form, path in files.items()}
    renderer = Renderer(prefix, verbosity)
    made = ["".join(renderer.record(record)) for record in read_csv(logged["csvlog"])]
    written = logged["stderr"].decode()
    if "%t" in prefix:
        # PostgreSQL asks the clock again for each line then
        made, written = [_timeless(text) for text in made], _timeless(written)
    lines = Counter(written.split("\n"))
    lines.subtract("".join(made).split("\n"))
    assert {line: count for line, count in lines.items() if count} == {}, "stderr has more, or less"
    assert [text for text in made if text not in written] == []
