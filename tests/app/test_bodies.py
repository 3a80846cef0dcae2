"""Bodies and files under any server: Django's own rules, as its test client meets them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, RequestFactory

from lockmon import sessions
from onevault.server.limits import BODY_BYTES
from tests.support.people import ROLES, browser

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

PLACES = ("/", "/admin/", "/admin/login/", "/admin/monitor/live/", "/api/tree", "/nowhere/", "/metrics")


@pytest.fixture
def kept(tmp_path: Path, settings: Any) -> Path:
    """Where files would be kept, all of them on disk."""
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 1
    return tmp_path


@pytest.mark.parametrize("role", ROLES)
def test_nobody_sends_more_than_64_kb(vault_db: str, role: str) -> None:
    client = browser(role)
    for path in PLACES:
        data = b"a" * (BODY_BYTES + 1)
        answer = client.post(path, data, content_type="application/x-www-form-urlencoded")
        # a probe takes none at all, and reads none
        refused = (405, b"") if path == "/metrics" else (413, b"The request is larger than 64 kB.\n")
        assert (answer.status_code, answer.content) == refused, path


@pytest.mark.parametrize("role", ROLES)
def test_no_page_but_one_takes_a_file(vault_db: str, kept: Path, role: str) -> None:
    client = browser(role)
    for path in PLACES:
        file = SimpleUploadedFile("a.bin", b"a" * 60_000)
        answer = client.post(path, {"file": file, "username": "x", "password": "y"})
        assert answer.status_code != 500, path
        assert list(kept.iterdir()) == [], path
        assert not answer.wsgi_request.FILES, path


@pytest.mark.parametrize("role", ["anonymous", "outsider", "viewer"])
def test_the_import_page_takes_none_from_whoever_may_not(vault_db: str, kept: Path, role: str) -> None:
    client = browser(role)
    path = "/admin/lockmon/deadlockevent/import-log/"
    large = client.post(path, {"file": SimpleUploadedFile("a.csv", b"a" * BODY_BYTES)})
    assert large.status_code == 413
    small = client.post(path, {"file": SimpleUploadedFile("a.csv", b"a" * 1000)})
    assert small.status_code in (302, 403)
    assert list(kept.iterdir()) == []


def test_a_thousand_files_are_refused(vault_db: str, kept: Path) -> None:
    files = [SimpleUploadedFile(f"{number}.bin", b"a") for number in range(300)]
    answer = Client(raise_request_exception=False).post("/admin/login/", {"file": files})
    assert answer.status_code in (400, 403, 413)
    assert list(kept.iterdir()) == []


def test_a_body_without_a_length_is_not_read() -> None:
    request = RequestFactory().post("/admin/login/", b"a" * 10, content_type="text/plain")
    del request.META["CONTENT_LENGTH"]
    from django.core.handlers.wsgi import WSGIRequest

    assert WSGIRequest(request.environ).body == b""


def test_a_session_that_was_not_used_sends_no_file(vault_db: str, kept: Path) -> None:
    client = browser("dba")
    path = "/admin/lockmon/deadlockevent/import-log/"
    session = client.session
    session[sessions.USED_AT] = int(time.time()) - sessions.idle_seconds() - 1
    session.save()
    answer = client.post(path, {"file": SimpleUploadedFile("a.csv", b"a" * BODY_BYTES)})
    assert answer.status_code == 401
    assert answer.content.decode().startswith("Your session ended: it was not used for")
    assert not answer.wsgi_request.FILES and list(kept.iterdir()) == []
