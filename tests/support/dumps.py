"""pg_dump and what people restore its output with, errors ignored as they ignore them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.servers import Server


def program(server: Server, name: str) -> str:
    """The path of a client program; skips the test where neither the package nor the machine has it."""
    try:
        found = server.program(name)
    except Exception as error:
        pytest.skip(f"{name}: {error}")
    if not Path(found).exists():
        pytest.skip(f"there is no {name} here")
    return found


def run(*command: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a client program to its end, whatever that is."""
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, input=stdin)


def dump(server: Server, database: str, file: Path, *options: str) -> None:
    """pg_dump of a database into a file."""
    done = run(program(server, "pg_dump"), *options, "-f", str(file), "-d", server.dsn(database))
    assert done.returncode == 0, done.stderr


def restore(server: Server, database: str, file: Path, tool: str) -> str:
    """Restore a file (plain for psql, custom for pg_restore), on after errors; what was complained of."""
    if tool == "psql":
        done = run(program(server, "psql"), "-X", "-q", "-d", server.dsn(database), "-f", str(file))
    else:
        done = run(program(server, "pg_restore"), "-d", server.dsn(database), str(file))
    # a setting that only a pg_dump newer than the server knows, and the sum of such complaints
    return "\n".join(
        line
        for line in done.stderr.splitlines()
        if "transaction_timeout" not in line and "errors ignored on restore" not in line
    )
