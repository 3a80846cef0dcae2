"""Failed logins: logged, counted for pair and address, refused for a while; nobody locks another out."""

from __future__ import annotations

import io
import logging
import threading
from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import Client
from django.utils import timezone

from lockmon import doctor, doctor_web, logins
from lockmon.models import ApiToken
from onevault import proxies
from tests.support.people import browser, person, use_app_login

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

HERE, THERE = "192.0.2.1", "192.0.2.2"
RIGHT = "only-for-tests"
LOGIN = "/admin/login/"


@pytest.fixture(autouse=True)
def limits(settings: Any) -> None:
    settings.LOGIN_FAILURES = settings.AXES_FAILURE_LIMIT = 3
    settings.LOGIN_FAILURES_ADDRESS = 8


def log_in(account: str, password: str = "wrong", address: str = HERE, **more: Any) -> Any:
    return Client(**more).post(
        LOGIN, {"username": account, "password": password, "next": "/admin/"}, REMOTE_ADDR=address
    )


def fail(account: str, times: int, address: str = HERE) -> None:
    for _ in range(times):
        log_in(account, address=address)


def gets_in(account: str, address: str = HERE) -> bool:
    return bool(log_in(account, RIGHT, address).status_code == 302)


def test_a_pair_is_refused_after_its_failures_even_with_the_right_password() -> None:
    person("dba")
    assert [log_in("dba").status_code for _ in range(3)] == [200, 200, 429]
    refused = log_in("dba", RIGHT)
    assert refused.status_code == 429 and refused["Retry-After"] == "900"
    text = refused.content.decode()
    assert "Too many failed logins to this account from your address" in text
    assert "lockmon_unlock" in text and "log in from another address" in text
    assert "_auth_user_id" not in refused.wsgi_request.session


def test_the_person_on_call_gets_in_from_elsewhere_and_a_session_goes_on() -> None:
    on_call = browser("dba")
    assert on_call.get("/admin/", REMOTE_ADDR=HERE).status_code == 200
    fail("dba", 20)
    assert on_call.get("/admin/", REMOTE_ADDR=HERE).status_code == 200
    assert on_call.get("/admin/monitor/live/fragment/", REMOTE_ADDR=HERE).status_code == 200
    assert not gets_in("dba", HERE)
    assert gets_in("dba", THERE)


def test_whoever_shares_the_address_does_not_lock_a_known_browser_out() -> None:
    person("dba")
    theirs = Client()
    form = {"username": "dba", "password": RIGHT, "next": "/admin/"}
    assert theirs.post(LOGIN, form, REMOTE_ADDR=HERE).status_code == 302
    cookie = theirs.cookies[logins.COOKIE]
    assert cookie["httponly"] and cookie["path"] == LOGIN
    fail("dba", 5)
    for number in range(8):
        log_in(f"guess{number}")
    assert not gets_in("dba")
    theirs.cookies.pop("sessionid")
    assert theirs.post(LOGIN, form, REMOTE_ADDR=HERE).status_code == 302
    # it is no way to guess on: a browser has as many tries as an address, wherever it goes
    theirs.cookies.pop("sessionid")
    codes = [
        theirs.post(LOGIN, form | {"password": "x"}, REMOTE_ADDR=f"192.0.2.{number}").status_code
        for number in range(50, 55)
    ]
    assert codes == [200, 200, 429, 429, 429]
    assert theirs.post(LOGIN, form, REMOTE_ADDR=THERE).status_code == 429
    assert gets_in("dba", THERE)


@pytest.mark.parametrize("name", ["dba (known browser 1)", "(API token)"])
def test_a_typed_name_does_not_pass_for_one_of_ours(name: str) -> None:
    for _ in range(3):
        log_in(name)
    for number in range(5):
        log_in(f"{name}{number}")
    found = logins.failures("dba", HERE)
    assert found.address_is_locked and logins.failures(logins.TOKEN, HERE).address == 0


def test_a_browser_s_cookie_is_its_account_s_alone() -> None:
    person("dba")
    person("viewer")
    eve = Client()
    eve.post(LOGIN, {"username": "viewer", "password": RIGHT, "next": "/admin/"}, REMOTE_ADDR=HERE)
    fail("dba", 3)
    eve.cookies.pop("sessionid")
    assert eve.post(LOGIN, {"username": "dba", "password": RIGHT}, REMOTE_ADDR=HERE).status_code == 429
    forged = Client()
    forged.cookies[logins.COOKIE] = "eyJhY2NvdW50IjoiZGJhIn0:1:x"
    assert forged.post(LOGIN, {"username": "dba", "password": RIGHT}, REMOTE_ADDR=HERE).status_code == 429


def test_another_account_gets_in_from_the_same_address() -> None:
    person("dba")
    person("viewer")
    fail("dba", 3)
    assert gets_in("viewer")


def test_many_accounts_from_one_address_lock_the_address_alone() -> None:
    person("dba")
    for number in range(8):
        log_in(f"guess{number}")
    refused = log_in("dba", RIGHT)
    assert refused.status_code == 429
    assert "Too many failed logins to any account from your address" in refused.content.decode()
    assert gets_in("dba", THERE)


def test_one_s_own_login_does_not_make_an_address_forget_the_others() -> None:
    person("dba")
    person("viewer")
    for number in range(7):
        log_in(f"guess{number}")
        assert gets_in("viewer")
    log_in("guess7")
    assert not gets_in("dba")


def test_a_right_login_forgets_the_pair_s_failures() -> None:
    person("dba")
    for _ in range(4):
        fail("dba", 2)
        assert gets_in("dba")


def test_a_forwarded_address_is_believed_of_a_trusted_proxy_alone(settings: Any) -> None:
    person("dba")
    for number in range(10):
        Client().post(
            LOGIN,
            {"username": "dba", "password": "x"},
            REMOTE_ADDR=HERE,
            HTTP_X_FORWARDED_FOR=f"198.51.100.{number}",
        )
    assert not gets_in("dba", HERE)
    settings.TRUSTED_PROXIES = proxies.networks([THERE])
    for _ in range(3):
        Client().post(
            LOGIN,
            {"username": "dba", "password": "x"},
            REMOTE_ADDR=THERE,
            HTTP_X_FORWARDED_FOR="198.51.100.7",
        )
    assert gets_in("dba", "198.51.100.8")
    assert not gets_in("dba", "198.51.100.7")


def test_other_browsers_and_six_sixty_four_are_the_same_place() -> None:
    person("dba")
    for number in range(3):
        Client(headers={"user-agent": f"browser {number}"}).post(
            LOGIN, {"username": "dba", "password": "x"}, REMOTE_ADDR=f"2001:db8::{number + 1}"
        )
    assert not gets_in("dba", "2001:db8::99")
    assert gets_in("dba", "2001:db8:0:1::1")


def test_a_lock_ends_by_itself_and_is_not_prolonged() -> None:
    person("dba")
    fail("dba", 3)
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=14))
    fail("dba", 5)
    assert not gets_in("dba")
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=15, seconds=1))
    assert gets_in("dba")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged about logins."""
    return [record.getMessage() for record in caplog.records if record.name == "lockmon.logins"]


def test_a_flood_of_failures_fills_no_table(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "lockmon.logins"):
        for number in range(40):
            log_in(f"guess{number}")
    assert AccessAttempt.objects.count() == 8
    assert len(lines(caplog)) == 9


def test_logins_at_once_are_all_counted() -> None:
    person("dba")
    codes = []

    def one() -> None:
        try:
            codes.append(log_in("dba").status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(codes) == 6
    assert not gets_in("dba")


def test_each_failure_is_a_line_and_the_lock_is_one(caplog: pytest.LogCaptureFixture) -> None:
    person("dba")
    with caplog.at_level(logging.INFO, "lockmon.logins"):
        fail("dba", 3)
        log_in("my secret password")
        fail("dba", 2)
    assert lines(caplog) == [
        f"Login failed: 'dba' from {HERE}; 1 of 3 for this account from there, 1 of 8 from there in all",
        f"Login failed: 'dba' from {HERE}; 2 of 3 for this account from there, 2 of 8 from there in all",
        f"Login failed: 'dba' from {HERE}; 3 of 3 for this account from there, 3 of 8 from there in all",
        f"Locked for 15 minutes: 'dba' from {HERE}; manage.py lockmon_unlock ends it",
        f"Login failed: an account that does not exist from {HERE}; 1 of 3 for this account from there,"
        " 4 of 8 from there in all",
    ]


def test_a_proxy_that_nobody_trusts_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    Client().post(LOGIN, {"username": "x", "password": "y"}, REMOTE_ADDR=HERE, HTTP_X_FORWARDED_FOR="1.2.3.4")
    assert "it sent X-Forwarded-For and is not named in TRUSTED_PROXIES" in caplog.text


def unlock(*arguments: str) -> str:
    out = io.StringIO()
    call_command("lockmon_unlock", *arguments, stdout=out)
    return out.getvalue()


def test_unlock_says_what_is_locked_and_ends_it() -> None:
    person("dba")
    assert unlock() == "No login is refused.\n"
    assert "nothing was locked" in unlock("dba")
    fail("dba", 3)
    fail("dba", 3, THERE)
    for number in range(5):
        log_in(f"guess{number}")
    shown = unlock().splitlines()
    assert len(shown) == 3
    assert any(
        line.startswith(f"every account from {HERE}: 8 failed logins, refused until") for line in shown
    )
    assert unlock("dba", "--address", THERE) == "3 failed logins forgotten: logins are taken again.\n"
    assert gets_in("dba", THERE) and not gets_in("dba", HERE)
    unlock("--address", HERE)
    assert gets_in("dba", HERE)
    fail("dba", 3)
    unlock("--all")
    assert gets_in("dba", HERE)
    with pytest.raises(CommandError, match="--all goes with nothing else"):
        unlock("dba", "--all")
    with pytest.raises(CommandError, match="nonsense is no address: say one such as"):
        unlock("--address", "nonsense")


def test_unlock_takes_any_address_of_a_place() -> None:
    """Of an IPv6 address the /64 is counted; nobody knows that who types his own."""
    person("dba")
    fail("dba", 3, "2001:db8::1")
    assert not gets_in("dba", "2001:db8::2")
    assert unlock("--address", "2001:db8::99") == "3 failed logins forgotten: logins are taken again.\n"
    assert gets_in("dba", "2001:db8::2")


def test_code_that_asks_without_a_request_is_not_counted() -> None:
    user = person("dba")
    fail("dba", 3)
    assert authenticate(username="dba", password=RIGHT) == user
    assert authenticate(username="dba", password="wrong") is None
    assert Client().login(username="dba", password=RIGHT)
    assert logins.failures("dba", HERE).pair == 3


def test_sessions_of_the_release_before_are_still_somebody_s() -> None:
    client = browser("dba")
    assert client.session["_auth_user_backend"] == "django.contrib.auth.backends.ModelBackend"
    assert client.get("/admin/").status_code == 200


def test_wrong_tokens_are_counted_apart_and_a_right_one_is_let_in() -> None:
    user = person("viewer")
    assert isinstance(user, User)
    _, right = ApiToken.make(user=user, name="grafana")
    use_app_login()

    def ask(token: str | None, address: str = HERE) -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return Client().get("/api/episodes", headers=headers, REMOTE_ADDR=address).status_code

    assert [ask("wrong") for _ in range(9)] == [401] * 7 + [429] * 2
    assert ask(right) == 200
    assert ask("wrong", THERE) == 401
    assert ask(None) == 401
    assert gets_in("viewer"), "a token of a machine locks nobody out"
    assert [lock.account for lock in logins.locks()] == [logins.TOKEN]


def test_the_check_page_says_what_is_configured_and_locked(settings: Any) -> None:
    def lines() -> dict[str, doctor.Finding]:
        return {line.name: line for line in doctor_web.web("vault")}

    settings.TRUSTED_PROXIES = []
    found = lines()
    assert "X-Forwarded-For is not believed" in found["client addresses"].meaning
    assert "After 3 of one account from one address, or 8" in found["failed logins"].meaning
    assert found["locked logins"].state == doctor.OK
    settings.BEHIND_PROXY = True
    found = lines()
    assert (found["client addresses"].state, found["client addresses"].remedy) == (
        doctor.WARNING,
        "Set TRUSTED_PROXIES to the proxy's address.",
    )
    settings.TRUSTED_PROXIES = proxies.networks([THERE])
    person("dba")
    fail("dba", 3)
    found = lines()
    assert found["client addresses"].state == doctor.OK and THERE in found["client addresses"].meaning
    assert found["locked logins"].state == doctor.WARNING
    assert f"1 lock: dba from {HERE} until" in found["locked logins"].meaning
