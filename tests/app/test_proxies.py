"""Whose address counts: what a trusted proxy says, never what anybody says."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory

from onevault import proxies
from tests.app.test_settings import KEY, VAULT, complaint, settings


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "address"),
    [
        ([], "9.9.9.9", None, "9.9.9.9"),
        ([], "127.0.0.1", "1.2.3.4", "127.0.0.1"),
        ([], "9.9.9.9", "1.2.3.4", "9.9.9.9"),
        (["10.0.0.0/24"], "9.9.9.9", "1.2.3.4", "9.9.9.9"),
        (["10.0.0.0/24"], "10.0.0.7", "1.2.3.4", "1.2.3.4"),
        (["10.0.0.0/24"], "10.0.0.7", "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        (["10.0.0.0/24"], "10.0.0.7", "6.6.6.6, 1.2.3.4, 10.0.0.8", "1.2.3.4"),
        (["10.0.0.0/24"], "10.0.0.7", "6.6.6.6,10.0.0.9,10.0.0.8", "6.6.6.6"),
        (["10.0.0.0/24"], "10.0.0.7", "6.6.6.6, nonsense", "10.0.0.7"),
        (["10.0.0.0/24"], "10.0.0.7", "", "10.0.0.7"),
        (["10.0.0.0/24"], "10.0.0.7", None, "10.0.0.7"),
        (["10.0.0.0/24"], "::ffff:10.0.0.7", "1.2.3.4:5678", "1.2.3.4"),
        (["10.0.0.0/24"], "10.0.0.7", "[2001:db8:1:2:3::4]:99", "2001:db8:1:2::"),
        ([], "2001:db8:1:2:ffff::1", None, "2001:db8:1:2::"),
        (["::1", "127.0.0.0/8"], "::1", "1.2.3.4", "1.2.3.4"),
        (["::1", "127.0.0.0/8"], "", "1.2.3.4", "1.2.3.4"),
        ([], "", None, "127.0.0.1"),
        ([], "fe80::1%eth0", None, "fe80::"),
    ],
)
def test_an_address_is_what_can_be_trusted(
    settings: Any, trusted: list[str], peer: str, forwarded: str | None, address: str
) -> None:
    settings.TRUSTED_PROXIES = proxies.networks(trusted)
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR=peer)
    assert proxies.client_address(request) == address


def test_without_a_proxy_nobody_is_trusted_and_with_one_this_host() -> None:
    base = {"SECRET_KEY": KEY, "VAULT_DATABASE_URL": VAULT}
    assert settings(base, "TRUSTED_PROXIES")["TRUSTED_PROXIES"] == []
    behind = settings(base | {"BEHIND_PROXY": "1"}, "TRUSTED_PROXIES")["TRUSTED_PROXIES"]
    assert behind == ["127.0.0.0/8", "::1/128"]
    named = base | {"BEHIND_PROXY": "1", "TRUSTED_PROXIES": "10.0.0.5, 10.1.0.0/16"}
    assert settings(named, "TRUSTED_PROXIES")["TRUSTED_PROXIES"] == ["10.0.0.5/32", "10.1.0.0/16"]


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"TRUSTED_PROXIES": "proxy.example"}, "TRUSTED_PROXIES has 'proxy.example'"),
        ({"LOGIN_FAILURES": "0"}, "LOGIN_FAILURES is '0'"),
        ({"LOGIN_FAILURES_ADDRESS": "3"}, "LOGIN_FAILURES_ADDRESS is 3: say at least LOGIN_FAILURES (5)"),
        ({"LOGIN_LOCK_MINUTES": "soon"}, "LOGIN_LOCK_MINUTES is 'soon'"),
        ({"SESSION_IDLE_MINUTES": "0"}, "SESSION_IDLE_MINUTES is '0'"),
    ],
)
def test_a_mistake_is_a_sentence(variables: dict[str, str], words: str) -> None:
    assert words in complaint(variables)


def test_a_mistake_in_code_is_the_same() -> None:
    with pytest.raises(ImproperlyConfigured, match="say an address or a network"):
        proxies.networks(["10.0.0.0/99"])
