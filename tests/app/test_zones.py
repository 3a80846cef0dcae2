"""All times of a page are in one zone, its reader's: those in sentences, too."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from lockmon.zones import COOKIE
from tests.support import scenes
from tests.support.people import browser, use_app_login
from tests.support.sessions import Session

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])


def test_sentences_are_in_the_readers_zone(vault_db: str, session: Callable[..., Session]) -> None:
    """A script sets single moments in the browser's zone; "connected 16:45:22" beside them was in another."""
    use_app_login()
    scenes.make_tables(vault_db)
    scenes.row_queue(vault_db, session, 1)
    client = browser("dba")

    def connected(zone: str) -> datetime:
        client.cookies[COOKIE] = zone
        page = client.get("/admin/monitor/live/").content.decode()
        found = re.search(r"connected (\d\d:\d\d:\d\d)", page)
        assert found, page
        return datetime.strptime(found[1], "%H:%M:%S")

    plain = connected("UTC")
    assert (connected("Asia/Kolkata") - plain) % timedelta(days=1) == timedelta(hours=5, minutes=30)
    for stranger in ("", "Europe/Nowhere", "../../etc/passwd", "x" * 5000, "\u00e4"):
        assert connected(stranger) == plain
    assert timezone.get_current_timezone_name() == timezone.get_default_timezone_name()
