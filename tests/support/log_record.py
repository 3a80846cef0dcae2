"""Records what a real server logs in each language, for the tests of the log reader.

    LOCKMON_PG_BIN=/usr/lib/postgresql/15/bin python -m tests.support.log_record [LANGUAGE ...]

Plays tests.support.log_scenes once a language on a throwaway server that writes csvlog, jsonlog and stderr
at once, and writes tests/data/log/LANGUAGE.csv, .json, .log and .facts.json: what the clients got, and the
words that stand before the lines of a record in that language. Languages are those whose catalog of messages
(LANGUAGE/LC_MESSAGES/postgres-15.mo) the server's package brought; en needs none. Needs glibc, whose variable
LANGUAGE chooses the language within the locale C.UTF-8.
"""

from __future__ import annotations

import gettext
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar
from unittest import mock

from onevault.embedded import account as accounts
from tests.support import log_waits
from tests.support.log_play import DATABASE, Player, prepare
from tests.support.log_scenes import SCENES
from tests.support.poll import poll
from tests.support.recordings import FOLDER
from tests.support.servers import Server, throwaway

PREFIX = "%m [%p] "
ENDINGS = ("csv", "json", "log")
SETTINGS = {
    "log_filename": "postgresql.log",
    "log_line_prefix": PREFIX,
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_timezone": "UTC",
    "lc_messages": "C.UTF-8",
}
"""Of a server whose log is kept."""
Played = TypeVar("Played")
WORDS = (
    "DETAIL:  ",
    "HINT:  ",
    "QUERY:  ",
    "CONTEXT:  ",
    "LOCATION:  %s, %s:%d\n",
    "STATEMENT:  ",
    " at character %d",
    " at internal character %d",
    "[unknown]",
)
"""What elog.c translates and csvlog does not hold."""


def catalogs(server: Server) -> dict[str, Path]:
    """The catalogs of messages of this server, by language."""
    program = server.cluster.binaries.program("pg_config")
    folder = subprocess.run(
        [program, "--localedir"], capture_output=True, text=True, check=True
    ).stdout.strip()
    return {
        path.parent.parent.name: path
        for path in sorted(Path(folder).glob(f"*/LC_MESSAGES/postgres-{server.version}.mo"))
    }


def words(catalog: Path | None) -> dict[str, str]:
    """The words of WORDS in the language of a catalog of messages."""
    if catalog is None:
        return {word: word for word in WORDS}
    with catalog.open("rb") as file:
        translated = gettext.GNUTranslations(file)
    return {word: translated.gettext(word) for word in WORDS}


def start_in(server: Server, language: str) -> None:
    """Restart the server so that it logs in this language."""
    environment = {"LANGUAGE": language, "LC_CTYPE": "C.UTF-8", "LC_MESSAGES": "C.UTF-8"}
    clean = {k: v for k, v in accounts.clean_environment().items() if k not in ("LC_ALL", "LANG")}
    server.cluster.stop()
    with mock.patch.object(accounts, "clean_environment", lambda: clean | environment):
        server.cluster.start()


def keep_logged(
    server: Server, language: str, stem: Path, endings: Sequence[str], play: Callable[[Path], Played]
) -> Played:
    """Play in one language and keep what was logged meanwhile: the stem's files with these endings.

    `play` gets the csvlog; what it returns is returned.
    """
    start_in(server, language)
    files = {ending: server.log_directory / f"postgresql.{ending}" for ending in endings}
    sizes = {ending: path.stat().st_size for ending, path in files.items()}
    played = play(files["csv"])
    # the server's end writes the last lines of all
    server.cluster.stop()
    poll(lambda: all(path.read_bytes().endswith(b"\n") for path in files.values()), 10, "whole lines")
    for ending, path in files.items():
        stem.with_name(f"{stem.name}.{ending}").write_bytes(path.read_bytes()[sizes[ending] :])
    return played


def record(server: Server, language: str, catalog: Path | None) -> None:
    """Play everything in one language and keep what was logged."""

    def play(csv_file: Path) -> Player:
        player = Player(server, DATABASE, csv_file)
        for scene in SCENES:
            player.play(scene)
        player.play(log_waits.autovacuum)
        player.close()
        return player

    player = keep_logged(server, language, FOLDER / language, ENDINGS, play)
    lines = ",\n".join(json.dumps(asdict(fact), ensure_ascii=False) for fact in player.facts)
    kept = json.dumps(words(catalog), ensure_ascii=False)
    text = f'{{"words": {kept},\n"facts": [\n{lines}\n]}}\n'
    (FOLDER / f"{language}.facts.json").write_text(text, encoding="utf-8")
    print(f"{language}: {len(player.facts)} records about locks", flush=True)


def main(wanted: list[str]) -> None:
    """Record the languages that are asked for, all by default."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    settings = {"log_destination": "stderr,csvlog,jsonlog", "log_error_verbosity": "verbose"}
    with throwaway(SETTINGS | settings) as server:
        prepare(server)
        found = catalogs(server)
        for language in wanted or ["en", *found]:
            if language != "en" and language not in found:
                sys.exit(f"No catalog of messages for {language}: there are {', '.join(found) or 'none'}.")
            record(server, language, found.get(language))


if __name__ == "__main__":
    main(sys.argv[1:])
