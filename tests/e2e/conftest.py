"""A real browser (Chromium) on the real pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Protocol

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from tests.support.people import person

_NAMES = ("chromium", "chromium-browser", "google-chrome")


class OpenPage(Protocol):
    """Opens a page as somebody."""

    def __call__(self, role: str, path: str = "/admin/", dark: bool = False, width: int = 1280) -> Page:
        """Log in as a new person of this role, and go to the path."""


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    assert found is not None, "Chromium is needed for these tests (Debian: apt install chromium)."
    # Playwright has an event loop in the test's thread; the ORM is used there all the same, and by nobody else.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
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
