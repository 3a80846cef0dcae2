"""Probes: asked by an address, without TLS and by anybody; they open no database of the web, and strangers
learn the state's word."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from pytest_django import Settings

from tests.support.loops import ROOT, running_loop, until_watching
from tests.support.poll import poll
from tests.support.servers import Server, free_port
from tests.support.webserver import running

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
STRANGER: dict[str, Any] = {"REMOTE_ADDR": "192.0.2.7"}


def dockerfile(line: str) -> list[str]:
    """The command of the Dockerfile's last line that begins so, as a list of words."""
    found = re.findall(rf"^{line}.*?(\[.*\])$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    words: list[str] = json.loads(found[-1])
    return words


def shipped_environment() -> dict[str, str]:
    """deploy/lock-monitor.env.example, as who follows it would fill it in."""
    filled = {"SECRET_KEY": "only-for-tests-" * 4, "METRICS_TOKEN": "sesame"}
    found: dict[str, str] = {}
    for line in (ROOT / "deploy" / "lock-monitor.env.example").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found[name] = value or filled[name]
    assert found["ALLOWED_HOSTS"] == "locks.example.com"
    return found


@pytest.mark.slow
def test_the_healthcheck_of_the_image_passes_with_the_shipped_environment(tmp_path: Path) -> None:
    port = free_port()
    at = f"127.0.0.1:{port}"
    serve = [word.replace("0.0.0.0:8000", at) for word in dockerfile("CMD")]
    assert at in serve and serve[0] == "gunicorn"
    check = [word.replace("127.0.0.1:8000", at) for word in dockerfile("HEALTHCHECK")]
    assert at in check[-1] and check[0] == "python"
    path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "STATIC_ROOT": str(tmp_path)}
    variables = path | shipped_environment() | {"TMPDIR": str(tmp_path)}
    with running(variables, tmp_path, port=port, command=[sys.executable, "-m", *serve]):
        done = subprocess.run([sys.executable, *check[1:]], env=path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_probe_is_answered_whatever_the_host_header_says(vault_db: str) -> None:
    for host in ("10.1.2.3:8000", "evil.example", "x" * 300, "a b"):
        client = Client(HTTP_HOST=host)
        assert client.get("/healthz").content == b"ok\n", host
        assert client.get("/readyz").status_code == 503, host
        assert client.get("/admin/login/").status_code == 400, host


def test_strangers_learn_the_state_s_word_and_no_more(vault_db: str, settings: Settings) -> None:
    settings.METRICS_TOKEN = "sesame"
    stranger = Client(**STRANGER)
    answer = stranger.get("/readyz")
    assert (answer.status_code, answer.content) == (503, b"not watching\n")
    bearer = {"Authorization": "Bearer sesame"}
    assert stranger.get("/readyz", headers=bearer).json()["watching"] == {"vault": False}
    assert stranger.get("/readyz", headers={"Authorization": "Bearer guess"}).content == b"not watching\n"
    assert Client().get("/readyz").json()["ready"] is False
    # a proxy on this host brings strangers
    for name in ("X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "X-Real-IP", "Via"):
        assert Client().get("/readyz", headers={name: "https"}).content == b"not watching\n", name
    with running_loop():
        until_watching(vault_db)
        assert poll(lambda: stranger.get("/readyz").status_code == 200, 5, "readiness")
        assert stranger.get("/readyz").content == b"watching\n"


def test_a_page_whose_name_was_made_to_lead_here_is_a_stranger(vault_db: str, settings: Settings) -> None:
    """A browser of this host asks by a name of somebody's (DNS rebinding); a program by an address."""
    settings.METRICS_TOKEN = ""
    assert Client(HTTP_HOST="127.0.0.1:8000").get("/metrics").status_code == 200
    assert Client(HTTP_HOST="[::1]:8000").get("/metrics").status_code == 200
    assert Client(HTTP_HOST="evil.example").get("/metrics").status_code == 403
    assert Client(HTTP_HOST="evil.example").get("/readyz").content == b"not watching\n"
    settings.METRICS_TOKEN = "sesame"
    bearer = {"Authorization": "Bearer sesame"}
    assert Client(HTTP_HOST="pod-7", **STRANGER).get("/metrics", headers=bearer).status_code == 200


@pytest.fixture
def no_web_database() -> Iterator[None]:
    """Django's own database is not there."""
    connection = connections["default"]
    connection.close()
    before = connection.settings_dict["NAME"]
    connection.settings_dict["NAME"] = "no_such_database"
    yield
    connection.close()
    connection.settings_dict["NAME"] = before


def test_no_probe_opens_the_database_of_the_web(vault_db: str, no_web_database: None) -> None:
    with running_loop():
        until_watching(vault_db)
        assert poll(lambda: Client().get("/readyz").status_code == 200, 5, "readiness")
    assert Client().get("/healthz").status_code == 200
    assert b"lockmon_watched" in Client().get("/metrics").content


def test_probes_have_the_headers_of_all_answers(vault_db: str, server: Server) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        answer = Client().get(path)
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert "no-store" in answer["Cache-Control"]
        assert "script-src 'self'" in answer["Content-Security-Policy"]
        assert Client().post(path).status_code == 405
