"""Filters and searches over long lists: bounded, saying how far back they looked, and nothing is lost."""

from __future__ import annotations

import html
import re
from typing import Any

import psycopg
import pytest
from django.test import Client

from lockmon.admin import searching
from tests.support.people import browser, use_app_login

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

LIST = "/admin/lockmon/lockactivity/"
ROWS = 600
# every fortieth row is of a rare user; each row is a second younger than the one before it
FILL = f"""
INSERT INTO lock_monitoring.lock_activity_h (lock_activity_hk, lock_activity_bk, tenant_hk, record_source)
SELECT sha256(int4send(i)), 'k' || i, (SELECT tenant_hk FROM auth.tenant_h LIMIT 1), 'test'
  FROM generate_series(1, {ROWS}) AS i;
INSERT INTO lock_monitoring.lock_activity_s (lock_activity_hk, load_date, load_end_date, hash_diff, lock_type, lock_mode,
  lock_pid, user_name, object_name, lock_granted, resolution_action, record_source)
SELECT sha256(int4send(i)), now() - make_interval(secs => {ROWS} - i), now() - make_interval(secs => {ROWS} - i - 0.5), '',
       'relation', 'ShareLock', i, CASE WHEN i % 40 = 0 THEN 'rare' ELSE 'common' END, 'table app.t', true, 'released', 'test'
  FROM generate_series(1, {ROWS}) AS i ORDER BY i;
"""  # noqa: E501


@pytest.fixture
def client(vault_db: str) -> Client:
    """A DBA's browser over six hundred rows."""
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute(FILL)
        connection.execute("ANALYZE lock_monitoring.lock_activity_s")
    use_app_login()
    return browser("dba")


def pids(text: str) -> list[int]:
    """The pids that a list shows, in its order."""
    return [int(found) for found in re.findall(r'class="field-pid[^"]*"><a [^>]*>(\d+)<', text)]


def page(client: Client, query: str) -> str:
    answer = client.get(LIST + query)
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_rare_name_is_found_step_by_step_back_to_the_beginning(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "MOST_FILTERED", 200)
    found: list[int] = []
    query, steps = "?user=rare", 0
    while query:
        text = page(client, query)
        found += pids(text)
        steps += 1
        older = re.search(r'class="reach".*?<a href="([^"]+)">Search the ones before', text, re.DOTALL)
        assert older or "Searched: the latest" not in text
        query = html.unescape(older[1]) if older else ""
        assert "user=rare" in query or not query, "the filter is kept"
    assert found == [pid for pid in range(ROWS, 0, -1) if pid % 40 == 0]
    assert steps == 3


def test_a_search_says_how_far_back_it_looked(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "MOST_SEARCHED", 100)
    text = page(client, "?q=nothing-like-it&when=week")
    assert pids(text) == []
    assert "Searched: the latest 100 rows of this period" in text
    assert "Searched: the latest" not in page(client, "?when=week"), "a plain list needs no bound"


def test_exports_are_never_bounded(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "MOST_FILTERED", 50)
    answer: Any = client.get(LIST + "export/csv/?user=rare")
    lines = b"".join(answer.streaming_content).decode().strip().splitlines()
    assert len(lines) - 1 == ROWS // 40


def test_pages_of_a_list_hold_each_row_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = [pid for number in range(1, 13) for pid in pids(page(client, f"?p={number}"))]
    assert shown == list(range(ROWS, 0, -1))
    monkeypatch.setattr(searching, "EXACT_UP_TO", 120)
    again = [pid for number in range(1, 7) for pid in pids(page(client, f"?p={number}"))]
    assert again == shown[:300], "beyond what is counted exactly, too"
    assert "PostgreSQL&#x27;s estimate" in page(client, "") or "PostgreSQL's estimate" in page(client, "")


def test_sorting_another_way_is_kept_over_pages(client: Client) -> None:
    first = pids(page(client, "?o=3"))
    second = pids(page(client, "?o=3&p=2"))
    assert first + second == list(range(1, 101))
