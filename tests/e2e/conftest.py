"""A real browser (Chromium) on the real pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Protocol

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from tests.support.people import person, use_app_login

_NAMES = ("chromium", "chromium-browser", "google-chrome")

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class OpenPage(Protocol):
    """Opens a page as somebody."""

    def __call__(self, role: str, path: str = "/admin/", dark: bool = False, width: int = 1280) -> Page:
        """Log in as a new person of this role, and go to the path."""


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    assert found is not None, "Chromium is needed for these tests (Debian: apt install chromium)."
    # Playwright has an event loop in the test's thread; the ORM is used there all the same, by nobody else.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=_ARGUMENTS)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def open_page(chromium: Browser, live_server: LiveServer) -> Iterator[OpenPage]:
    """Open pages as people; a script error or a violated content security policy fails the test."""
    complaints: list[str] = []
    contexts = []

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    def open_one(role: str, path: str = "/admin/", dark: bool = False, width: int = 1280) -> Page:
        assert person(role) is not None
        context = chromium.new_context(
            base_url=live_server.url,
            color_scheme="dark" if dark else "light",
            viewport={"width": width, "height": 900},
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", listen)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"/admin/login/?next={path}")
        page.fill("#id_username", role)
        page.fill("#id_password", "only-for-tests")
        page.click("input[type=submit]")
        page.wait_for_url(f"**{path}")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not complaints, complaints


@pytest.fixture
def visit(chromium: Browser, live_server: LiveServer, vault_db: str) -> Iterator[Callable[..., Page]]:
    """Open pages as people who may come back, the vault being read by the application's own login.

    A script error or a violated content security policy fails the test.
    """
    from django.contrib.auth.models import User

    use_app_login()
    complaints: list[str] = []
    contexts = []

    def listen(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            complaints.append(message.text)

    def open_one(
        role: str, path: str, width: int = 1300, scheme: str = "light", bypass_csp: bool = False
    ) -> Page:
        if not User.objects.filter(username=role).exists():
            person(role)
        context = chromium.new_context(
            base_url=live_server.url,
            color_scheme="dark" if scheme == "dark" else "light",
            viewport={"width": width, "height": 900},
            timezone_id="Europe/Berlin",
            bypass_csp=bypass_csp,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", listen)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"/admin/login/?next={path}")
        page.fill("#id_username", role)
        page.fill("#id_password", "only-for-tests")
        page.click("input[type=submit]")
        page.wait_for_load_state("load")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert complaints == []
