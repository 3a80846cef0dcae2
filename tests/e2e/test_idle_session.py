"""An open page whose session ends says so, and leads back to where its reader was."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from playwright.sync_api import Page

from lockmon import sessions

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True, databases=["default", "vault"])]


def make_idle() -> None:
    """Let every session's last use be long ago."""
    for row in Session.objects.all():
        store = SessionStore(row.session_key)
        store[sessions.USED_AT] = 0
        store.save()


def test_an_open_page_says_that_the_session_ended(visit: Callable[..., Page]) -> None:
    page = visit("dba", "/admin/monitor/live/")
    page.wait_for_selector("#live [data-updated]")
    make_idle()
    page.wait_for_selector(".stale:not([hidden]) a")
    assert "Your session ended: it was not used for 60 minutes" in page.inner_text(".stale")
    page.click(".stale a")
    page.wait_for_url("**/admin/login/?ended=idle&next=%2Fadmin%2Fmonitor%2Flive%2F")
    assert "Your session ended" in page.inner_text("#content")
    page.fill("#id_username", "dba")
    page.fill("#id_password", "only-for-tests")
    page.click("input[type=submit]")
    page.wait_for_url("**/admin/monitor/live/")


def test_a_page_that_plays_leads_to_the_login(visit: Callable[..., Page]) -> None:
    page = visit("dba", "/admin/monitor/time/")
    make_idle()
    page.evaluate(
        """() => { const link = document.createElement('a');
        link.dataset.step = 'next'; link.href = '?at=2026-01-01 00:00';
        document.getElementById('past').append(link); link.click(); }"""
    )
    page.wait_for_url("**/admin/login/**")
    assert "Your session ended" in page.inner_text("#content")
