"""Hostile texts through every page and export: names, statements and log texts belong to strangers."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.test import Client
from openpyxl import load_workbook

from lockmon.views import export, words
from tests.support.hostile import LONG, NOW, SCRIPT, fill
from tests.support.people import browser, use_app_login

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])


def pages(keys: dict[str, str]) -> list[str]:
    at = (NOW - timedelta(minutes=4)).isoformat().replace("+00:00", "Z")
    return [
        "/admin/",
        "/admin/monitor/live/",
        "/admin/monitor/waiters/",
        f"/admin/monitor/time/?at={at}",
        f"/admin/monitor/episode/{keys['episode']}/",
        f"/admin/monitor/deadlock/{keys['deadlock']}/",
        "/admin/monitor/insight/?by=application",
        "/admin/monitor/insight/?by=user",
        "/admin/monitor/insight/?by=query",
        "/admin/monitor/insight/?by=database",
        "/admin/monitor/insight/?by=tenant",
        "/admin/lockmon/lockactivity/",
        "/admin/lockmon/blockingsession/",
        "/admin/lockmon/deadlockevent/",
        "/admin/lockmon/lockwaitanalysis/",
        f"/admin/lockmon/lockactivity/{keys['lock_activity']}/change/",
        f"/admin/lockmon/blockingsession/{keys['blocking_session']}/change/",
        f"/admin/lockmon/lockwaitanalysis/{keys['lock_wait_analysis']}/change/",
        f"/admin/lockmon/lockactivity/?q={SCRIPT}",
        f"/admin/lockmon/lockactivity/?user={SCRIPT}",
        f"/admin/monitor/time/?at={SCRIPT}",
        f"/admin/monitor/session/?node={SCRIPT}",
        f"/admin/monitor/insight/?by={SCRIPT}&period={SCRIPT}&since={SCRIPT}",
    ]


def harmless(page: str, path: str) -> None:
    """The page holds no tag and no control character of the hostile texts."""
    assert "<script>alert" not in page and "<img src=x" not in page and "<b>user" not in page, path
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069]", page), path
    assert len(page) < 500_000, f"{path}: {len(page)}"


@pytest.mark.slow
def test_every_page_is_harmless(vault_db: str) -> None:
    use_app_login()
    keys = fill(vault_db)
    for role in ("dba", "viewer"):
        client = browser(role)
        for path in pages(keys):
            answer = client.get(path, follow=True)
            assert answer.status_code in (200, 400), f"{path}: {answer.status_code}"
            harmless(answer.content.decode(), path)


def test_hostile_names_of_real_sessions(vault_db: str, session: Any) -> None:
    use_app_login()
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute('CREATE TABLE "<script>alert(1)</script>\u202e" (id integer)')
    root = session(vault_db, application_name=SCRIPT[:60])
    root.run('LOCK TABLE "<script>alert(1)</script>\u202e"')
    waiter = session(vault_db, application_name="=1+1;tenant=<b>acme</b>")
    waiter.start(f"SELECT '{SCRIPT}', 7 FROM \"<script>alert(1)</script>\u202e\" /* \u202e */")
    waiter.wait_blocked()
    client = browser("dba")
    for path in (
        "/admin/",
        "/admin/monitor/live/fragment/",
        "/admin/monitor/waiters/",
        f"/admin/monitor/session/?node={waiter.pid}",
    ):
        page = client.get(path).content.decode()
        harmless(page, path)
        assert "‹U+202E›" in page, path  # noqa: RUF001 - meant


def exported(client: Client, name: str, form: str) -> bytes:
    more = "&versions=all" if name in ("lockactivity", "blockingsession") else ""
    answer = client.get(f"/admin/lockmon/{name}/export/{form}/?when=any{more}")
    assert answer.status_code == 200
    assert "attachment" in answer["Content-Disposition"]
    content = bytes(answer.getvalue())
    answer.close()
    return content


def test_exports_are_safe_and_complete(vault_db: str) -> None:
    use_app_login()
    fill(vault_db)
    client = browser("dba")
    for name in ("lockactivity", "blockingsession", "deadlockevent", "lockwaitanalysis"):
        rows = list(csv.reader(io.StringIO(exported(client, name, "csv").decode("utf-8-sig"))))
        found = json.loads(exported(client, name, "json"))
        book = load_workbook(io.BytesIO(exported(client, name, "xlsx")))
        sheet = list(book.active.values)
        assert len(rows) == len(found) + 1 == len(sheet)
        assert rows[0] == list(found[0]) == list(sheet[0])
        for value in [value for row in rows[1:] for value in row]:
            assert not value.lstrip(" ").startswith(("=", "+", "@", "\t", "\r")), value[:50]
        for value in [value for row in sheet[1:] for value in row if isinstance(value, str)]:
            assert not value.startswith("="), value[:50]
        assert all(cell.data_type != "f" for row in book.active.iter_rows() for cell in row)
    texts = [row["query_text"] for row in json.loads(exported(client, "lockactivity", "json"))]
    assert LONG in texts, "JSON keeps a text whole"


def test_an_unknown_format_or_filter_gives_a_sentence(vault_db: str) -> None:
    use_app_login()
    client = browser("dba")
    for path, sentence in (
        ("/admin/lockmon/lockactivity/export/exe/", "is no format here"),
        ("/admin/lockmon/lockactivity/?since=soon", "is not a date and time"),
        ("/admin/lockmon/lockactivity/?severity__x=1", "not known here"),
        ("/admin/lockmon/blockingsession/?severity=WORST", "is no choice"),
        ("/admin/lockmon/lockactivity/?tenant=zz", "This is no tenant"),
        ("/admin/lockmon/lockactivity/?user=a*b", "A * stands"),
        ("/admin/lockmon/lockactivity/?when=never", "no time range"),
    ):
        page = client.get(path, follow=True).content.decode()
        assert sentence in page, path


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        (" =1", "' =1"),
        ("\t=1", "'\t=1"),
        ("plain", "plain"),
        (5, 5),
        (None, None),
        (["=1"], '["=1"]'),
        (True, True),
        ("a\x00b", "a\ufffdb"),
    ],
)
def test_a_cell_never_begins_a_formula(value: Any, wanted: Any) -> None:
    assert export.cell(value) == wanted


def test_hide_literals_hides_what_sql_hides(vault_db: str) -> None:
    texts = [
        "SELECT 'it''s', 1.5e3, \"col1\", $$x$$, $t$ y $t$ -- c\n, x1 FROM t2 /* c */ WHERE a=-7",
        "SELECT 'cut in the mid",
        "SELECT E'a\\'b' , 0x1F",
        "UPDATE t SET a = a - 7 WHERE id=1",
        "SELECT $1, 'a'",
        "",
        "SELECT \"a''b\" , 'x\"y'",
        LONG[:25000],
    ]
    with psycopg.connect(vault_db) as connection:
        for text in texts:
            found = connection.execute("SELECT lock_engine.hide_literals(%s)", [text]).fetchone()
            assert found is not None
            ours = words.hide_literals(text)
            assert ours is not None
            assert ours.split() == str(found[0]).split(), text[:60]


def test_a_sheet_that_is_full_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "XLSX_ROWS", 3)
    answer = export._xlsx(["number"], ([number] for number in range(10)), "x.xlsx")
    book = load_workbook(io.BytesIO(answer.getvalue()))
    answer.close()
    cells = [value for (value,) in book.active.values]
    assert cells[:3] == ["number", 0, 1]
    assert cells[3].startswith("Cut here: a sheet holds no more rows.")
    assert len(cells) == 4
