"""Production as docs/production.md and the units describe it: everything started by their own lines, while
pgbench runs."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockmon.metrics import FAMILIES
from tests.support.loops import ROOT, status, until_watching, url
from tests.support.poll import poll
from tests.support.production import PREFIX, answer, shell_lines, unit
from tests.support.servers import Server, free_port
from tests.support.vaults import APP_LOGIN

DOCUMENT = ROOT / "docs" / "production.md"


def documented(part: str) -> list[str]:
    """The one documented command that holds this part, as this environment runs it."""
    (line,) = [line for line in shell_lines(DOCUMENT) if part in line]
    words = [word for word in shlex.split(line) if "=" not in word or word.startswith("-")]
    assert words[0] == ".venv/bin/python"
    return [sys.executable, *words[1:]]


@pytest.fixture
def environment(server: Server, vault_db: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment file's variables for a throwaway server."""
    name = server.create_database()
    login = f"{server.dsn(vault_db.split('dbname=')[1].split()[0], APP_LOGIN)}"
    yield {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"} | {
        "VAULT_DATABASE_URL": url(login),
        "DATABASE_URL": url(server.dsn(name)),
        "SECRET_KEY": "only-for-tests-" * 4,
        "ALLOWED_HOSTS": "127.0.0.1",
        "HTTPS_ONLY": "0",
        "STATIC_ROOT": str(tmp_path / "static"),
        "COLLECT_STATIC": "1",
    }
    server.drop_database(name)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True, databases=["default", "vault"])
def test_the_units_bring_up_a_monitor_that_the_doctor_passes(
    server: Server, vault_db: str, environment: dict[str, str]
) -> None:
    for part in ("migrate", "collectstatic"):
        subprocess.run(
            documented(f"manage.py {part}"), cwd=ROOT, env=environment, check=True, capture_output=True
        )
    port = free_port()
    services: list[tuple[str, subprocess.Popen[bytes]]] = []
    try:
        for name in ("web", "cluster", "monitor", "monitor"):
            command = unit(ROOT, name)["ExecStart"].replace(
                f"{PREFIX}.venv/bin/", f"{Path(sys.executable).parent}/"
            )
            words = shlex.split(command.replace("127.0.0.1:8000", f"127.0.0.1:{port}"))
            services.append(
                (
                    name,
                    subprocess.Popen(
                        words,
                        cwd=ROOT,
                        env=environment,
                        start_new_session=True,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                    ),
                )
            )
        subprocess.run([server.program("pgbench"), "-i", "-q", vault_db], check=True, capture_output=True)
        load = [server.program("pgbench"), "-n", "-c", "4", "-R", "100", "-T", "600", vault_db]
        with subprocess.Popen(load, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as pgbench:
            until_watching(vault_db, 60)
            poll(lambda: status(vault_db).standby_pid, 120, "a standby")

            def no_failure() -> bool:
                checked = subprocess.run(
                    [*documented("lockmon_check"), "--quiet"],
                    cwd=ROOT,
                    env=environment,
                    capture_output=True,
                    text=True,
                )
                print(checked.stdout, checked.stderr)
                return checked.returncode == 0

            poll(no_failure, 120, "lockmon_check without a failure", interval=2)
            pgbench.terminate()
        top = subprocess.run(
            documented("lockmon_top"), cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        assert "Watching." in top.stdout
        weekly = documented("lockmon_report")
        made = subprocess.run(weekly, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        assert "## Recommendations" in made.stdout
        assert answer(f"http://127.0.0.1:{port}/healthz") == (200, "ok\n")
        assert answer(f"http://127.0.0.1:{port}/readyz")[0] == 200
        code, text = answer(f"http://127.0.0.1:{port}/metrics")
        assert code == 200
        assert all(f"# TYPE {family.name} " in text for family in FAMILIES)
        for name, process in services:
            process.send_signal(getattr(signal, unit(ROOT, name).get("KillSignal", "SIGTERM")))
        for name, process in services:
            assert process.wait(int(unit(ROOT, name)["TimeoutStopSec"]) + 10) in (0, -signal.SIGTERM), name
    finally:
        for _, process in services:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.parametrize("name", ["web", "cluster", "monitor"])
def test_every_unit_ends_its_whole_group(name: str) -> None:
    service = unit(ROOT, name)
    assert service["KillMode"] == "control-group"
    assert service["Restart"] == "always"
    assert service["ExecStart"].startswith(f"{PREFIX}.venv/bin/")


def test_the_document_names_only_commands_that_exist() -> None:
    from django.core.management import get_commands

    named = set(re.findall(r"manage\.py ([a-z_]+)", DOCUMENT.read_text(encoding="utf-8")))
    assert named <= set(get_commands())
