"""The code blocks of a Markdown document, and running them as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lockmon.install import SQL_FOLDER
from tests.support.servers import Server

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One code block: the heading it stands under, its language, its text."""

    heading: str
    language: str
    text: str

    def statements(self) -> list[str]:
        """The SQL statements of a block without dollar quotes, comments left out."""
        plain = "\n".join(line.split("--")[0] for line in self.text.splitlines())
        return [statement.strip() for statement in plain.split(";") if statement.strip()]


def blocks(document: Path) -> list[Block]:
    """All code blocks of a document, in order."""
    text = document.read_text(encoding="utf-8")
    # A comment in a script looks like a heading: those within blocks do not count.
    bare = _BLOCK.sub(lambda found: " " * len(found[0]), text)
    headings = [(found.start(), found[1].strip()) for found in _HEADING.finditer(bare)]
    listed = []
    for found in _BLOCK.finditer(text):
        above = [
            heading for place, heading in headings if place < found.start() and not heading.startswith(" ")
        ]
        listed.append(Block(above[-1] if above else "", found[1], found[2]))
    return listed


def shell(
    server: Server, script: str, *, folder: Path = SQL_FOLDER, database: str = "one_vault"
) -> subprocess.CompletedProcess[str]:
    """Run a script with bash where psql finds the server, and `psql -d one_vault` that database."""
    program = Path(server.program("psql"))
    environment = os.environ | {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PGHOST": str(server.socket_directory),
        "PGPORT": str(server.port),
        "PGUSER": "postgres",
        "PSQLRC": os.devnull,
        "PAGER": "cat",
    }
    named = re.sub(r'(-d |PGDATABASE=")one_vault\b', rf"\g<1>{database}", script)
    return subprocess.run(
        ["bash", "-e", "-c", named],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
