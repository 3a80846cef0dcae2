"""One-line mutations, and whether the tests that should notice do.

    python -m tests.support.mutants SEED [NUMBER]

From the rules of severity, graph, plan, cycle, door, sandbox and log parsing (SUBJECTS) NUMBER lines (12) are
chosen by the seed: a number becomes another one, a comparison its neighbour. Each is made in a copy of the
tree that is thrown away, and the subject's tests run there until the first fails. Survivors are printed, and
are the exit code; tests/data/equivalent.toml names those that change nothing that could be seen, and why.
Takes half a minute a mutation.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTEST = (sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not e2e and not long")
EQUIVALENT = ROOT / "tests" / "data" / "equivalent.toml"
SUBJECTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "severity": (
        ("sql/lock_engine/severity*.sql", "sql/lock_engine/blocker_severity.sql"),
        ("tests/sql/test_severity.py",),
    ),
    "kinds": (
        (
            "sql/lock_catalog/session_kind.sql",
            "sql/lock_catalog/statement_class.sql",
            "sql/lock_catalog/leading_words.sql",
        ),
        ("tests/sql/test_blocker_kinds.py", "tests/sql/test_deadlock_advice.py"),
    ),
    "graph": (
        ("sql/lock_catalog/graph_of*.sql", "sql/lock_catalog/add_up.sql", "sql/lock_catalog/shown_under.sql"),
        (
            "tests/sql/test_limits.py",
            "tests/sql/test_waits_for.py",
            "tests/sql/test_graph_deep.py",
            "tests/sql/test_graph_groups.py",
            "tests/sql/test_graph_processes.py",
            "tests/sql/test_pure_rules.py",
        ),
    ),
    "plan": (
        (
            "sql/lock_catalog/rescue_plan.sql",
            "sql/lock_catalog/freeing.sql",
            "sql/lock_catalog/simulate.sql",
            "sql/lock_catalog/worth_stopping.sql",
        ),
        ("tests/sql/test_rescue_plan.py", "tests/sql/test_policies.py", "tests/sql/test_door.py"),
    ),
    "cycle": (
        (
            "sql/lock_engine/run_cycle.sql",
            "sql/lock_engine/store_locks.sql",
            "sql/lock_engine/store_sessions.sql",
            "sql/lock_engine/duration_steps.sql",
        ),
        (
            "tests/sql/test_limits.py",
            "tests/sql/test_capture.py",
            "tests/sql/test_run_lock_monitoring.py",
            "tests/sql/test_endings.py",
            "tests/sql/test_wait_intervals.py",
            "tests/sql/test_churn.py",
        ),
    ),
    "door": (
        (
            "sql/lock_admin/functions/signal_session.sql",
            "sql/lock_admin/functions/refusal_now.sql",
            "sql/lock_admin/functions/refusal_code.sql",
            "sql/lock_admin/functions/signals_in_last_hour.sql",
        ),
        (
            "tests/sql/test_door.py",
            "tests/sql/test_policies.py",
            "tests/sql/test_auto_resolve.py",
            "tests/sql/test_limits.py",
        ),
    ),
    "sandbox": (
        ("lockmon/alerts/sandbox.py", "lockmon/vault.py"),
        (
            "tests/sql/test_alert_sandbox.py",
            "tests/app/alerting",
            "tests/app/test_connections.py",
            "tests/app/test_loop_tenants.py",
        ),
    ),
    "log": (
        ("sql/lock_log/parse_*.sql", "sql/lock_log/split*.sql", "sql/lock_log/read*_record.sql"),
        (
            "tests/sql/test_log_parser.py",
            "tests/sql/test_log_formats.py",
            "tests/sql/test_log_stderr.py",
            "tests/sql/test_log_rendering.py",
            "tests/sql/test_log_forging.py",
            "tests/sql/test_deadlock_words.py",
            "tests/sql/test_log_words.py",
        ),
    ),
}
"""What is mutated, and the tests that should notice."""
_SQL = re.compile(
    r"--[^\n]*|/\*.*?\*/|->>?|#>>?|@>|<@|=>|\bSELECT 1 FROM\b|"
    r"E?'(?:[^']|'')*'|\$[a-z_]*\$|(?<![\w.$])\d+(?![\w.])|<=|>=|<>|<|>",
    re.DOTALL,
)
_PYTHON = re.compile(
    r'#[^\n]*|"""(?:.|\n)*?"""|f?"(?:[^"\\\n]|\\.)*"|->|(?<![\w.])[\d_]*\d(?![\w.])|<=|>=|==|!=|<|>'
)
_NEIGHBOURS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
_LENGTH = re.compile(r"^'(\d+) (milliseconds?|seconds?|minutes?|hours?|days?)'$")


@dataclass(frozen=True)
class Mutation:
    """One line of a file, which begins at `begin`, and what becomes of it."""

    subject: str
    path: str
    begin: int
    line: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.path}:{self.line}: {self.before.strip()}  =>  {self.after.strip()}"


def mutations(subject: str, path: Path) -> Iterator[Mutation]:
    """Every mutation of one file, comments and texts left alone."""
    text = path.read_text(encoding="utf-8")
    is_sql = path.suffix == ".sql"
    stop = text.find("\nCOMMENT ON FUNCTION") if is_sql else len(text)
    for token in (_SQL if is_sql else _PYTHON).finditer(text):
        found = token[0]
        length = _LENGTH.match(found) if is_sql else None
        if token.start() > stop > 0:
            return
        if length:
            others = [f"'{int(length[1]) + 1} {length[2]}'"]
        elif found in _NEIGHBOURS:
            others = [_NEIGHBOURS[found]]
        elif found[0].isdigit():
            number = int(found)
            others = [str(number + 1)] if number % 2 or number == 0 else [str(number + 1), str(number // 2)]
            if "_bit" in text[text.rfind("\n", 0, token.start()) : token.end()]:
                # the lowest bit stands for no mode
                others = [other for other in others if not int(other) % 2]
        else:
            continue
        for other in others:
            begin = text.rfind("\n", 0, token.start()) + 1
            end = text.find("\n", token.end())
            yield Mutation(
                subject,
                str(path.relative_to(ROOT)),
                begin,
                text.count("\n", 0, begin) + 1,
                text[begin:end],
                text[begin : token.start()] + other + text[token.end() : end],
            )


def known() -> dict[tuple[str, str], str]:
    """Mutations that change nothing that could be seen: (path, line after it) and why."""
    with EQUIVALENT.open("rb") as file:
        found = tomllib.load(file)
    return {(one["path"], one["after"].strip()): one["why"] for one in found.get("mutation", [])}


def chosen(seed: int, number: int) -> list[Mutation]:
    """So many mutations, spread over the subjects by chance."""
    chance = random.Random(seed)
    found: list[Mutation] = []
    pools = {
        subject: [
            one
            for pattern in patterns
            for path in sorted(ROOT.glob(pattern))
            for one in mutations(subject, path)
        ]
        for subject, (patterns, _) in SUBJECTS.items()
    }
    subjects = list(pools)
    while len(found) < number:
        subject = subjects[len(found) % len(subjects)]
        found.append(chance.choice(pools[subject]))
    return found


def copy(folder: Path) -> None:
    """A copy of the tree as git knows it and as it is now, with the packages and servers of this one."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for name in (".venv", ".cache"):
        (folder / name).symlink_to(ROOT / name)


def survives(folder: Path, mutation: Mutation) -> bool:
    """Whether the subject's tests pass with the mutation."""
    path = folder / mutation.path
    text = path.read_text(encoding="utf-8")
    rest = text[mutation.begin :].removeprefix(mutation.before)
    path.write_text(text[: mutation.begin] + mutation.after + rest, encoding="utf-8")
    try:
        run = subprocess.run(
            [*PYTEST, "-n", os.environ.get("PROCESSES", "2"), *SUBJECTS[mutation.subject][1]],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(folder)},
            capture_output=True,
            text=True,
        )
    finally:
        path.write_text(text, encoding="utf-8")
    if run.returncode not in (0, 1, 2):
        raise RuntimeError(f"the tests did not run:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
    return run.returncode == 0


def main(seed: int, number: int = 12) -> int:
    """Try them; how many survive."""
    told, survivors = known(), 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        folder = Path(name)
        copy(folder)
        for mutation in chosen(seed, number):
            began = time.monotonic()
            why = told.get((mutation.path, mutation.after.strip()))
            alive = why is None and survives(folder, mutation)
            survivors += alive
            what = f"equivalent ({why})" if why else "SURVIVES" if alive else "noticed"
            print(f"{what}: {mutation} [{time.monotonic() - began:.0f} s]", flush=True)
    print(f"seed {seed}: {survivors} of {number} survive")
    return survivors


if __name__ == "__main__":
    sys.exit(min(1, main(*(int(one) for one in sys.argv[1:] or ["1"]))))
