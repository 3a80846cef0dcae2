"""A transcript of the documents: every command runs here, or it is said where it runs or why it cannot.

A command that is new in a document and neither runs as written nor is named below fails this test.
"""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from lockmon.calls import alerts as calls
from tests.app.test_log_files import RECORD
from tests.conftest import OpenSession
from tests.support.loops import ROOT, url
from tests.support.servers import Server

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

DOCUMENTS = (
    "README.md",
    *(f"docs/{name}.md" for name in ("deployment", "production", "door", "alerts", "deadlocks", "security")),
    *(f"docs/{name}.md" for name in ("architecture", "figures")),
)
ELSEWHERE = {
    r"^make run$": "tests/app/test_make_run.py",
    r"^make (test|test-matrix|e2e|setup)$": "what runs these tests; .ci/run",
    r"^make test-long$": "takes minutes a test: run by hand before an issue is resolved",
    r"^make mutants": "some ten minutes: run by hand; tests/app/test_mutants.py",
    r"^make bench": "benchmarks are for people: an hour of a quiet machine",
    r"^python -m tests\.bench\.": "a benchmark",
    r"^python -m tests\.support\.expected$": "tests/sql/test_upgrade.py compares",
    r"^(python -m venv|\.venv/bin/pip|pip) ": "tests/support/fresh_clone.py",
    r"manage\.py (migrate|collectstatic|createsuperuser)\b": "tests/support/fresh_clone.py",
    r"manage\.py (qcluster|lockmon_monitor)$": "tests/app/test_production.py, by the units",
    r"^(cp deploy/systemd|systemctl )": "needs systemd; the units' lines run in test_production.py",
    r"^export ": "a variable: test_the_five_lines_of_the_readme",
    r"^LOCKMON_CHANNEL_": "a variable; channels are tried in tests/app/test_alert_delivery.py",
    r'^\.venv/bin/python manage\.py lockmon_deploy --dsn "host=db1': "test_the_five_lines_of_the_readme",
    r"manage\.py lockmon_check": "tests/app/test_production.py: without a loop it finds a failure",
    r"manage\.py lockmon_move_users": "tests/app/test_move_users.py",
    r'^\.venv/bin/python -c "import sqlite3': "tests/app/test_web_place.py",
    r"manage\.py lockmon_read_log$": "a command's name alone; with its file it runs below",
    r"^(psql|grep|SELECT lock_monitoring|0 2|\*/5|0 \*|CRITICAL)": "tests/sql/test_guide.py",
    r"manage\.py lockmon_uninstall": "tests/sql/test_login_and_removal.py",
}
STARTS = re.compile(
    r"^(\.venv/bin/\S+|python|pip|make|manage\.py|psql|systemctl|cp|export|grep|SELECT|GRANT|UPDATE|INSERT|[A-Z_]+=\S)"
)


@dataclass(frozen=True)
class Command:
    """One command of a document."""

    document: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}: {self.text[:60]}"


def commands(document: str) -> Iterator[Command]:
    """The commands of a document: in fenced blocks, in indented lines, in running text."""
    text = (ROOT / document).read_text(encoding="utf-8")
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if language == "sql" or block.lstrip().startswith("SELECT"):
            plain = "\n".join(line.split("--")[0] for line in block.splitlines())
            yield from (Command(document, one.strip()) for one in plain.split(";\n") if one.strip(" ;\n"))
        else:
            yield from (Command(document, line) for line in block.splitlines() if STARTS.match(line))
    bare = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for line in bare.splitlines():
        if line.startswith("    ") and STARTS.match(line.strip()):
            yield Command(document, re.sub(r"\s{3,}.*$|\s+#.*$", "", line.strip()))
    for inline in re.findall(r"`((?:\.venv/bin/python |python |manage\.py |make )[^`]+)`", bare):
        yield Command(document, " ".join(inline.split()))


ALL = [
    one
    for name in DOCUMENTS
    for one in dict.fromkeys(commands(name))
    # every block of this one is run by tests/sql/test_guide.py
    if name != "docs/deployment.md" or "manage.py" in one.text
]


@dataclass
class World:
    """What the placeholders of the documents stand for here."""

    server: Server
    dsn: str
    values: dict[str, str] = field(default_factory=dict)

    def manage(self, line: str) -> str:
        """Run a manage.py line in this process; what it printed."""
        for placeholder, value in self.values.items():
            line = line.replace(placeholder, value)
        name, *arguments = shlex.split(line.split("manage.py ", 1)[1])
        out = io.StringIO()
        try:
            call_command(name, *arguments, stdout=out, stderr=out)
        except SystemExit as ended:
            assert not ended.code, out.getvalue()
        return out.getvalue()


@pytest.fixture
def world(server: Server, vault_db: str, session: OpenSession, tmp_path: Path) -> World:
    """A deadlock, an alert, a session in the way, a log file, a person named dba."""
    found = World(server, vault_db)
    path = tmp_path / "server.csv"
    path.write_text(RECORD.format(second=1, pid=11))
    User.objects.create_superuser("dba", password="only-for-tests")
    with psycopg.connect(vault_db, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'clerk'").fetchone():
            connection.execute("CREATE ROLE clerk LOGIN")
        (alert,) = connection.execute(
            "SELECT alert_config_hk FROM monitoring.alert_configuration_s WHERE alert_name = 'Long blocking'"
        ).fetchone() or (None,)
        fields = {"event_state": "critical", "level": "critical", "worst_level": "critical", "value": 400}
        times = {"started_at": "now", "raised_at": "now"}
        event = calls.write_alert_event(connection.cursor(), alert, None, None, fields | times, "test")
    assert event is not None
    found.values = {
        "FILE": str(path),
        "57103f5f": event.hex()[:12],
        "postgresql://postgres@db1/one_vault": url(vault_db),
    }
    found.manage("manage.py lockmon_read_log FILE")
    with psycopg.connect(vault_db, autocommit=True) as connection:
        row = connection.execute("SELECT deadlock_id FROM lock_monitoring.deadlock_history").fetchone()
    assert row is not None
    holder = session(vault_db, user="clerk", application_name="billing")
    holder.run("SELECT pg_advisory_xact_lock(77, 1)")
    waiter = session(vault_db, application_name="api")
    waiter.start("SELECT pg_advisory_xact_lock(77, 1)")
    waiter.wait_blocked()
    found.values |= {"--show ID": f"--show {row[0]}", "4711": str(holder.pid)}
    return found


def said_elsewhere(text: str) -> str | None:
    """Where or why not this command is run."""
    return next((why for pattern, why in ELSEWHERE.items() if re.search(pattern, text)), None)


@pytest.mark.parametrize("command", [one for one in ALL if not said_elsewhere(one.text)], ids=str)
def test_it_runs_as_written(world: World, command: Command) -> None:
    text = command.text
    if "manage.py" in text:
        if "lockmon_terminate" in text:
            text += " --yes"  # nobody is asked here
        if "lockmon_deploy" in text and "--dsn" not in text:
            text += " --dsn postgresql://postgres@db1/one_vault"
        assert world.manage(text).strip()
        return
    with psycopg.connect(world.dsn, autocommit=True) as connection:
        for placeholder, value in world.values.items():
            text = text.replace(placeholder, value)
        rows: Any = connection.execute(text.rstrip(";"))
        assert rows.statusmessage


def test_every_command_is_known() -> None:
    assert len(ALL) > 40
    unknown = [str(one) for one in ALL if not STARTS.match(one.text) and "manage.py" not in one.text]
    assert unknown == []
    used = {pattern for pattern in ELSEWHERE if any(re.search(pattern, one.text) for one in ALL)}
    assert {pattern for pattern in ELSEWHERE if "psql|grep" not in pattern} == {
        pattern for pattern in used if "psql|grep" not in pattern
    }, "an excuse that nothing needs"


def test_the_five_lines_of_the_readme(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A DBA's connection once, then a login that is no superuser, nothing of Django's beside the vault."""
    name = server.create_database()
    lines = [one.text for one in ALL if one.document == "README.md" and "lockmon" in one.text]
    deploy = next(line for line in lines if "lockmon_deploy" in line)
    login = next(line for line in lines if "VAULT_DATABASE_URL" in line)
    assert "lockmon_app" in deploy and "lockmon_app:$LOCKMON_LOGIN_PASSWORD" in login
    monkeypatch.setenv("LOCKMON_LOGIN_PASSWORD", "only-for-tests")
    out = io.StringIO()
    words = shlex.split(deploy.split("manage.py ", 1)[1])
    words[words.index("--dsn") + 1] = server.dsn(name)
    try:
        call_command(*words, stdout=out)
        with psycopg.connect(server.dsn(name, "lockmon_app"), autocommit=True) as connection:
            row = connection.execute(
                "SELECT current_user, rolsuper, to_regnamespace('onevault_web')"
                " FROM pg_roles WHERE rolname = session_user"
            ).fetchone()
            assert row is not None
            assert row == ("lock_monitoring_role", False, None)
            assert connection.execute("SELECT count(*) FROM lock_catalog.waits_for()").fetchone() is not None
    finally:
        server.drop_database(name)
        server.execute("DROP ROLE IF EXISTS lockmon_app")
