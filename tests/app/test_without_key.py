"""Commands need no SECRET_KEY; what signs for others says that it does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import get_commands
from django.test import override_settings

from lockmon import keys
from lockmon.alerts import delivery
from onevault.embedded.account import EmbeddedError
from onevault.embedded.local import Local
from tests.support.loops import ROOT, url
from tests.support.servers import Server

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

# with arguments that end by themselves; 1: it has found something, or says in a sentence what it lacks
COMMANDS: dict[str, list[str]] = {
    "lockmon_monitor": ["--seconds", "1"],
    "lockmon_top": ["--once"],
    "lockmon_report": ["--period", "day"],
    "lockmon_read_log": ["no-such-file"],
    "lockmon_deploy": ["--dsn", "host=127.0.0.1 port=1 dbname=x"],
    "lockmon_uninstall": ["--dsn", "host=127.0.0.1 port=1 dbname=x"],
    "lockmon_terminate": ["1", "--reason", "a test of the commands"],
    "lockmon_token": ["nobody", "name"],
    "lockmon_adopt": ["--reason", "a test of the commands"],
    "lockmon_demo": ["--help"],
}


@pytest.fixture
def environment(server: Server, vault_db: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """What a shell has after the README's lines: the vault's address, and no key."""
    name = server.create_database()
    yield {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ} | {
        "VAULT_DATABASE_URL": url(vault_db),
        "DATABASE_URL": url(server.dsn(name)),
        "ONEVAULT_LOCAL": str(tmp_path / "local"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    server.drop_database(name)


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.slow
def test_every_command_runs_without_one(environment: dict[str, str]) -> None:
    assert run(environment, "manage.py", "migrate", "-v0").returncode == 0
    ours = sorted(name for name in get_commands() if name.startswith("lockmon_"))
    assert len(ours) > 18
    for name in ours:
        done = run(environment, "manage.py", name, *COMMANDS.get(name, []))
        said = done.stdout + done.stderr
        assert "SECRET_KEY" not in said and "Traceback" not in said, (name, said)
        assert done.returncode in (0, 1, 2, 3), (name, said)
        assert "usage:" not in said or name == "lockmon_demo", (name, said)


@pytest.mark.slow
def test_web_and_queue_say_that_they_need_one(environment: dict[str, str]) -> None:
    queue = run(environment, "manage.py", "qcluster")
    assert queue.returncode == 1
    assert (
        "SECRET_KEY is not set, and each task of the queue is signed with it: make one with" in queue.stderr
    )
    assert "Traceback" not in queue.stderr
    web = run(environment, "-c", "import onevault.wsgi")
    assert web.returncode == 1
    assert "ImproperlyConfigured: SECRET_KEY is not set, and every web session is signed" in web.stderr


def test_the_key_of_make_run_serves_them_all(environment: dict[str, str]) -> None:
    folder = Path(environment["ONEVAULT_LOCAL"])
    folder.mkdir()
    (folder / "secret_key").write_text("k" * 64 + "\n", encoding="ascii")
    shown = "import onevault.wsgi; from django.conf import settings; print(settings.SECRET_KEY)"
    web = run(environment, "-c", shown)
    assert (web.returncode, web.stdout.strip()) == (0, "k" * 64), web.stderr


def test_a_key_that_is_no_text_is_none(environment: dict[str, str]) -> None:
    folder = Path(environment["ONEVAULT_LOCAL"])
    folder.mkdir()
    (folder / "secret_key").write_bytes(b"\xff\xfe\x00")
    web = run(environment, "-c", "import onevault.wsgi")
    assert web.returncode == 1 and "ImproperlyConfigured: SECRET_KEY is not set" in web.stderr
    local = Local(folder)
    with pytest.raises(EmbeddedError, match="secret_key cannot be read"):
        local.secret_key()


def test_a_loop_without_one_queues_no_task_that_nobody_could_read() -> None:
    needs = pytest.raises(ImproperlyConfigured, match="a task of the queue is signed")
    with override_settings(SECRET_KEY_SHARED=False), needs:
        delivery.request_sending("vault")
    keys.require_shared("nothing")
