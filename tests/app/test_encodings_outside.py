"""Texts of other encodings where they leave the product: API, metrics, files, messages, terminals."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import psycopg
import pytest
from django.core.management import call_command
from django.db import connections
from django.test import Client, RequestFactory
from django.utils import timezone
from openpyxl import load_workbook
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from pytest_django import Settings

from lockmon import vault
from lockmon.alerts import delivery, messages
from lockmon.calls import alert_messages as outbox
from lockmon.metrics import metrics
from lockmon.models import ApiToken
from lockmon.views.words import SHAPES
from tests.support import loops, scenes, strangers, vaults
from tests.support.loops import ROOT
from tests.support.people import browser, person, use_app_login
from tests.support.poll import poll
from tests.support.receivers import smtp_server, webhook
from tests.support.servers import Server
from tests.support.sessions import Session
from tests.support.strangers import Abroad, Stranger

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

WORDS = b"caf\xe9 \xff\x81 \x01\x0b\x1b[31m\x7f <b>\r"
MARKED = r"caf\xE9 \xFF\x81"
RELATION = 'caf\u00e9 "\u20ac"\\n\n\x01{a="b"}\u202e'
"""A relation's name as the owner of a table may choose it, valid text of UTF8."""
USER = r"caf\xE9"
DATABASE = r"donn\xE9es"
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def scene(server: Server, vault_db: str) -> Iterator[tuple[int, int]]:
    """Two sessions abroad, one waiting for the other, a deadlock there, a table with a name at home that is
    waited for; all of it stored. Gives the pids of the two."""
    with strangers.abroad(server) as there:
        holder, waiter = there.at_home(), there.at_home()
        holder.run(b"SET application_name = 'caf\xe9 \xff'")
        scenes.cycle(vault_db)
        deadlock(vault_db, there)
        there.queue(holder, waiter, WORDS)
        table = RELATION.replace('"', '""')
        locking, reading = Session(vault_db), Session(vault_db)
        try:
            locking.run(f'CREATE TABLE "{table}" (n integer)')
            locking.run("COMMIT")
            locking.run(f'LOCK TABLE "{table}"')
            reading.start(f'SELECT * FROM "{table}"')
            reading.wait_blocked()
            scenes.cycle(vault_db)
            use_app_login()
            yield holder.pid, waiter.pid
        finally:
            reading.abandon()
            locking.abandon()


def deadlock(dsn: str, there: Abroad) -> None:
    """Let two sessions abroad deadlock, and wait until it is stored."""
    pair = there.at_home(), there.at_home()
    for session, key in zip(pair, (1, 2), strict=True):
        session.run(b"BEGIN")
        session.run(f"SELECT pg_advisory_xact_lock({key}, 78)".encode())
    pair[0].start(b"SELECT pg_advisory_xact_lock(2, 78) /* " + WORDS + b" */").wait_blocked(there.server)
    pair[1].start(b"SELECT pg_advisory_xact_lock(1, 78) /* " + WORDS + b" */")

    def stored() -> bool:
        scenes.cycle(dsn)
        return bool(loops.rows(dsn, "SELECT 1 FROM lock_monitoring.deadlock_event_s"))

    poll(stored, 20, "the deadlock's record in the log")
    for session in pair:
        there.opened.remove(session)
        session.close()


@pytest.fixture
def latin1(server: Server) -> Iterator[str]:
    """The superuser's DSN of a vault in LATIN1 with a table and a session of that encoding in the way."""
    strangers.create_database(server, "vault_latin1", "LATIN1")
    dsn = f"{server.dsn('vault_latin1')} client_encoding=UTF8"
    vaults.install(server.dsn("vault_latin1"))
    before = vaults.point_alias("vault", server, "vault_latin1", vaults.APP_LOGIN)
    locking, reading = Stranger(server, b"vault_latin1"), Stranger(server, b"vault_latin1")
    try:
        for statement in (b'CREATE TABLE "caf\xe9 ""\\" (n integer)', b"BEGIN", b'LOCK TABLE "caf\xe9 ""\\"'):
            locking.run(statement)
        reading.start(b'SELECT \'\x01\xe9\x81\', * FROM "caf\xe9 ""\\"').wait_blocked(server)
        scenes.cycle(dsn)
        use_app_login()
        yield dsn
    finally:
        reading.close()
        locking.close()
        vaults.point_alias("vault", server, before, vaults.APP_LOGIN)
        server.drop_database("vault_latin1")


def test_a_vault_in_latin1_tells_its_own_everywhere(latin1: str, settings: Settings) -> None:
    """Its characters leave as what they are, and the outbox keeps what a message marks."""
    name = 'caf\u00e9 "\\'
    _made, token = ApiToken.make(user=person("superuser"), name="test")
    tree = Client().get("/api/tree", headers={"Authorization": f"Bearer {token}"})
    assert any(name in text for text in texts(json.loads(tree.content.decode())))
    assert any(label.endswith(name) for label in labels(scraped()))
    client = browser("dba")
    for form in ("csv", "xlsx", "json"):
        assert exported(client, "lockactivity", form)
    assert "caf\u00e9" in exported(client, "lockactivity", "csv").decode("utf-8-sig")
    for text in delivered(settings):
        assert "caf\u00e9" in text and "U+0001" in text and "U+0081" in text


def texts(value: Any) -> Iterator[str]:
    """Every text within a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def said_by(*words: str) -> str:
    """What a command prints."""
    out = io.StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def test_the_api_answers_in_json(scene: tuple[int, int]) -> None:
    _made, token = ApiToken.make(user=person("dba"), name="test")
    client, found = Client(), {}
    at = timezone.now().isoformat().replace("+00:00", "Z")
    for path in ("tree", f"tree?at={at}", "episodes", "deadlocks"):
        answer = client.get(f"/api/{path}", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200, f"{path}: {answer.status_code}"
        found[path] = list(texts(json.loads(answer.content.decode())))
    for path in ("tree", f"tree?at={at}", "episodes"):
        assert USER in found[path] and DATABASE in found[path], path
    for path, shown in found.items():
        assert any(MARKED in text for text in shown), path
    assert any(RELATION in text for text in found["tree"])


def scraped() -> str:
    """What a scraper gets."""
    return metrics(RequestFactory().get("/metrics")).content.decode()


def labels(text: str) -> set[str]:
    """The relations that somebody waits for, as a scraper reads them."""
    return {
        sample.labels["relation"]
        for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        for sample in family.samples
        if sample.name == "lockmon_waits"
    }


def test_the_metrics_can_be_scraped(scene: tuple[int, int]) -> None:
    text = scraped()
    relations = labels(text)
    # the name itself, escaped on its way: what joins it with other exporters' figures
    assert any(name.endswith(RELATION) for name in relations), relations
    shapes = re.compile(r'(# (TYPE|HELP) .*|# EOF|[a-z_0-9]+(\{([a-z]+="([^"\\\n]|\\[\\n"])*",?)*\})? \S+)')
    for line in text.rstrip("\n").split("\n"):
        assert shapes.fullmatch(line), line


def exported(client: Client, name: str, form: str) -> bytes:
    answer = client.get(f"/admin/lockmon/{name}/export/{form}/?when=any")
    assert answer.status_code == 200
    content = bytes(answer.getvalue())
    answer.close()
    return content


@pytest.mark.parametrize("name", ["lockactivity", "blockingsession", "deadlockevent"])
def test_files_hold_them(scene: tuple[int, int], name: str) -> None:
    client = browser("dba")
    rows = list(csv.reader(io.StringIO(exported(client, name, "csv").decode("utf-8-sig"), newline="")))
    found = list(texts(json.loads(exported(client, name, "json").decode())))
    book = exported(client, name, "xlsx")
    with zipfile.ZipFile(io.BytesIO(book)) as parts:
        for part in parts.namelist():
            if part.endswith(".xml"):
                ElementTree.fromstring(parts.read(part))
    cells = [str(cell) for row in load_workbook(io.BytesIO(book)).active.values for cell in row]
    for shown in (found, [cell for row in rows for cell in row], cells):
        assert any(USER in text for text in shown)
        # a cell with several texts is JSON
        assert any(MARKED in text.replace("\\\\", "\\") for text in shown)
        if name == "lockactivity":
            assert any(DATABASE in text for text in shown)
            assert any('caf\u00e9 "' in text for text in shown)


def delivered(settings: Settings) -> list[str]:
    """What a message about this moment says: a mail's text, its HTML, and what a webhook got."""
    with connections["vault"].cursor() as cursor:
        context = messages.situation(cursor, timezone.now())
    context |= {"name": "Blocking", "level": "critical", "value": "1", "at": timezone.now().isoformat()}
    with smtp_server() as mail, webhook() as hook:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", mail.port, False
        settings.LOCKMON_CHANNELS = {"team": f"json://127.0.0.1:{hook.port}/hook"}
        # kept and read as the evaluator and the sender do it
        with vault.admin_transaction() as cursor:
            for to in ("dba@example.org", "channel:team"):
                outbox.add_alert_message(cursor, None, None, "raised", to, f"test:{to}", context, 1000)
        delivery.send_waiting("vault")
        ((_, _, message),) = mail.mails
        ((_, _, body),) = hook.posts
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None and html is not None
    return [plain.get_content(), html.get_content(), body["message"]]


def test_messages_tell_them(scene: tuple[int, int], settings: Settings) -> None:
    for text in delivered(settings):
        assert MARKED in text and USER in text
        assert "caf\u00e9" in text
        assert not STEERING.search(text.replace("\r\n", "\n"))


COMMANDS = (
    ("lockmon_top", "--once"),
    ("lockmon_deadlocks", "--json"),
    ("lockmon_report", "--period", "day"),
)
"""Drawn, as data, and as a document."""


def run(dsn: str, *words: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command in a process of its own."""
    web = connections["default"].settings_dict
    environment = dict(os.environ) | {
        "DJANGO_SETTINGS_MODULE": "onevault.settings",
        "SECRET_KEY": "only-for-tests-" * 4,
        "VAULT_DATABASE_URL": loops.url(dsn),
        "DATABASE_URL": loops.url(
            psycopg.conninfo.make_conninfo(
                host=web["HOST"], port=web["PORT"], user=web["USER"], dbname=web["NAME"]
            )
        ),
    }
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=environment | more,
        capture_output=True,
        check=False,
        timeout=60,
    )


@pytest.mark.slow
def test_a_terminal_of_another_encoding_is_written_to(scene: tuple[int, int], vault_db: str) -> None:
    for words in COMMANDS:
        done = run(vault_db, *words, PYTHONIOENCODING="ascii")
        assert b"Traceback" not in done.stderr, done.stderr.decode("latin-1")[-800:]
        shown = done.stdout.decode("ascii")
        assert done.returncode == 0 and shown, words
        if "--json" in words:
            assert any(USER in text for text in texts(json.loads(shown)))
        elif "--once" in words:
            # which one depends on how long the scene has waited by now
            assert any(rf"\u{ord(mark):04X}" in shown for mark in SHAPES.values())
