"""Why an alert's query failed: PostgreSQL quotes what it has read, which is for who may see query texts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from lockmon import errors
from lockmon.alerts import messages
from lockmon.alerts.evaluate import AlertEvaluator
from lockmon.alerts.sandbox import Sandbox
from tests.conftest import OpenSession
from tests.support import sites
from tests.support.alerting import HK, alert
from tests.support.people import browser
from tests.support.servers import Server

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

SECRET = "S3CRET-jane-4111"
READ = (
    "(SELECT substring(query FROM $$'(.*)'$$) FROM lock_catalog.sessions WHERE application_name = 'holder')"
)
QUOTING = [
    # an expression over the text of another session, of which PostgreSQL's sentence quotes some
    "({}::text)::int",
    "({}::text)::numeric",
    "({}::text)::date",
    "({}::text)::timestamptz",
    "({}::text)::interval",
    "({}::text)::inet",
    "({}::text)::uuid",
    "({}::text)::boolean",
    "({}::text)::regclass::oid::int",
    "({}::text)::regproc::oid::int",
    "({}::text)::regrole::oid::int",
    "({}::text)::regnamespace::oid::int",
    "length((now() AT TIME ZONE {})::text)",
    "length(current_setting({}))",
    "length(encode('a', {}))",
    "date_part({}, now())",
    "length(set_config({}, 'x', true))",
    "public.raises({})",
    "public.raises_as({}, '23514')",
    "public.raises_as({}, '55P03')",
    "public.reads({})",
]
OWN = [
    # what is wrong with the query itself is told in PostgreSQL's words: everybody sees the query
    ("SELECT count(*) FROM nowhere.nothing", 'relation "nowhere.nothing" does not exist'),
    ("SELECT nonsense", 'column "nonsense" does not exist'),
    ("SELECT 'x'::int", 'invalid input syntax for type integer: "x"'),
    ("SELECT 1 FROM", "syntax error at end of input"),
    ("SELECT 1, 2", "The query returned 2 columns; it has to return one row with one number."),
    ("SELECT 1 / 0", "division by zero"),
    ("SELECT count(*) FROM monitoring.alert_message", "permission denied for table alert_message"),
]


@pytest.fixture
def holder(vault_db: str, admin: psycopg.Connection[Any], session: OpenSession) -> str:
    """A session whose statement holds a secret, and functions of a site that quote what they are given."""
    admin.execute(
        "CREATE FUNCTION public.raises(t text) RETURNS int LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION 'cannot use %', t; END$$;"
        "CREATE FUNCTION public.raises_as(t text, s text) RETURNS int LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION 'cannot use %', t USING ERRCODE = s, CONSTRAINT = 'c'; END$$;"
        "CREATE FUNCTION public.reads(t text) RETURNS int LANGUAGE plpgsql AS"
        " $$DECLARE n int; BEGIN EXECUTE 'SELECT 1 FROM ' || quote_ident(t) INTO n; RETURN n; END$$;"
    )
    one = session(vault_db, application_name="holder")
    one.run(f"SELECT '{SECRET}'")
    return vault_db


def quoted(text: str | None) -> bool:
    return text is not None and any(piece in text for piece in ("S3CRET", "s3cret", "jane", "4111"))


@pytest.mark.parametrize("expression", QUOTING)
def test_the_sentence_for_everybody_quotes_nothing(holder: str, expression: str) -> None:
    sandbox = Sandbox("vault", "sentences")
    try:
        found = sandbox.evaluate(f"SELECT {expression.replace('{}', READ)}", 2)
    finally:
        sandbox.close()
    assert found.value is None and found.sentence is not None
    assert not quoted(found.sentence), found.sentence
    assert "error " in found.sentence and "for who may see" in found.sentence
    assert quoted(found.whole_sentence), f"PostgreSQL quotes it: {found.whole_sentence}"


@pytest.mark.parametrize(("query", "sentence"), OWN)
def test_what_is_wrong_with_the_query_itself_is_told(holder: str, query: str, sentence: str) -> None:
    sandbox = Sandbox("vault", "sentences")
    try:
        found = sandbox.evaluate(query, 2)
    finally:
        sandbox.close()
    assert (found.sentence, found.whole_sentence) == (sentence, None)


def failing(admin: psycopg.Connection[Any], evaluator: AlertEvaluator) -> str:
    """Let the test's alert fail until its event says so; returns the event's key."""
    alert(admin, f"SELECT ({READ}::text)::int", notification_recipients=["dba@example.org", "a@example.org"])
    (now,) = admin.execute("SELECT clock_timestamp()").fetchone() or (None,)
    assert isinstance(now, datetime)
    evaluator.run_once(now)
    (change,) = evaluator.run_once(now + timedelta(seconds=31))
    assert change.state == "error"
    return change.event_key


def test_no_page_export_mail_or_table_of_the_site_quotes_it(
    holder: str, admin: psycopg.Connection[Any], evaluator: AlertEvaluator
) -> None:
    event = failing(admin, evaluator)
    pages = {
        "alert": reverse("admin:lockmon_alert_change", args=[HK.hex()]),
        "event": reverse("admin:lockmon_alert_event", args=[event]),
        "history": reverse("admin:lockmon_alert_history", args=[HK.hex()]),
        "alerts": "/admin/lockmon/alert/",
        "events": "/admin/lockmon/alertevent/",
        "csv": "/admin/lockmon/alertevent/export/csv/",
        "json": "/admin/lockmon/alertevent/export/json/",
    }

    def seen(client: Client) -> dict[str, bool]:
        found = {}
        for name, address in pages.items():
            answer = client.get(address)
            assert answer.status_code == 200, address
            found[name] = quoted(bytes(answer.getvalue()).decode())
            answer.close()
        return found

    assert not any(seen(browser("viewer")).values())
    dba = seen(browser("dba"))
    assert dba["alert"] and dba["event"], "who may see query texts is told all"
    for text, name in (
        ("SELECT string_agg(sentence, ' ') FROM monitoring.alert_event_s", "events"),
        ("SELECT string_agg(context::text, ' ') FROM monitoring.alert_message", "messages"),
        ("SELECT string_agg(sentence, ' ') FROM monitoring.alert_overview", "overview"),
    ):
        row = admin.execute(sql.SQL(text)).fetchone()
        assert row is not None and row[0] and not quoted(row[0]), name
    written = [row[0] for row in admin.execute("SELECT context FROM monitoring.alert_message").fetchall()]
    assert len(written) == 2
    for context in written:
        message = messages.write("raised", context, "one_vault on db1")
        assert not quoted(message.subject + message.text + message.html)
        assert "22P02" in message.text


def test_trying_a_query_quotes_to_whoever_may_see(holder: str, admin: psycopg.Connection[Any]) -> None:
    """Somebody may edit alerts without seeing texts."""
    alert(admin, "SELECT 5")
    version = admin.execute(
        "SELECT satellite_id FROM monitoring.alert_configuration_s WHERE load_end_date IS NULL"
        " AND alert_config_hk = %s", [HK]
    ).fetchone()  # fmt: skip
    assert version is not None
    data = {
        "alert_name": "Test", "alert_query": f"SELECT ({READ}::text)::int", "critical_threshold": "1",
        "alert_severity": "HIGH", "alert_category": "TEST", "is_active": "on", "for_at_least_seconds": "0",
        "clear_after_seconds": "0", "repeat_minutes": "0", "escalate_minutes": "0",
        "version": str(version[0]), "try": "1",
    }  # fmt: skip
    address = reverse("admin:lockmon_alert_change", args=[HK.hex()])
    editor = browser("viewer")
    User.objects.get(username="viewer").user_permissions.add(
        Permission.objects.get(codename="change_settings")
    )
    page = editor.post(address, data).content.decode()
    assert "22P02" in page and not quoted(page.replace("holder", ""))
    assert quoted(browser("dba").post(address, data).content.decode())


def test_old_sentences_are_taken_out_by_the_update(
    holder: str, admin: psycopg.Connection[Any], evaluator: AlertEvaluator, server: Server
) -> None:
    """As release candidate 1 left them: PostgreSQL's own, in the state and in the versions of events."""
    failing(admin, evaluator)
    admin.execute("ALTER TABLE monitoring.alert_state DROP COLUMN whole_sentence")
    old = f'invalid input syntax for type integer: "{SECRET}"'
    admin.execute("UPDATE monitoring.alert_state SET sentence = %s WHERE alert_config_hk = %s", [old, HK])
    admin.execute("UPDATE monitoring.alert_event_s SET sentence = %s", [old])
    sites.install_with_psql(server, str(conninfo_to_dict(holder)["dbname"]))
    state = admin.execute(
        "SELECT sentence, whole_sentence FROM monitoring.alert_state WHERE alert_config_hk = %s", [HK]
    ).fetchone()
    assert state == ("The query failed.", old)
    rows = admin.execute("SELECT sentence FROM monitoring.alert_event_s").fetchall()
    assert rows and all("recorded by an earlier release" in row[0] and not quoted(row[0]) for row in rows)


@pytest.mark.parametrize(
    ("code", "sentence", "shown"),
    [
        ("23514", 'new row violates check constraint "broken"', 'new row violates check constraint "broken"'),
        ("P0001", f"cannot store SELECT '{SECRET}'", "cannot store SELECT…"),
        ("P0001", f"cannot store -- {SECRET}", "cannot store"),
        ("P0001", f'cannot store ("SELECT \'{SECRET}\'",7)', "cannot store (…"),
        ("P0001", f"cannot store SET x TO {SECRET}", "cannot store SET x TO…"),
        ("P0001", "ask the owner of this trigger", "ask the owner of this trigger"),
        ("22P02", f'invalid input syntax for type integer: "{SECRET}"',
         "error 22P02 (invalid text representation)"),
        ("XX000", f"cache lookup failed for {SECRET}", "error XX000 (internal error)"),
        ("ZZ999", SECRET, "error ZZ999"),
        (None, "the connection was lost", "the connection was lost"),
        ("22P02", None, ""),
    ],
)  # fmt: skip
def test_what_the_vault_keeps_of_a_part_that_failed(
    code: str | None, sentence: str | None, shown: str
) -> None:
    assert errors.kept(code, sentence) == shown
