"""Connections to the vault: which role, which login, which limits; and which model lives where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.conf import settings
from django.db import connections, router
from django.test import Client

from lockmon import vault
from tests.support.servers import Server
from tests.support.vaults import APP_LOGIN

BOTH = pytest.mark.django_db(transaction=True, databases=["default", "vault"])


def one(cursor: Any, question: str) -> Any:
    cursor.execute(question)
    return cursor.fetchone()[0]


@BOTH
def test_a_page_reads_in_the_reading_role(vault_db: str) -> None:
    with vault.cursor() as cursor:
        assert one(cursor, "SELECT session_user") == APP_LOGIN
        assert one(cursor, "SELECT current_user") == "lock_monitoring_role"
        assert one(cursor, "SHOW statement_timeout") == "30s"


@BOTH
def test_the_admin_role_lasts_for_its_transaction_only(vault_db: str) -> None:
    with vault.admin_transaction() as cursor:
        assert one(cursor, "SELECT current_user") == "lock_admin_role"
    with vault.cursor() as cursor:
        assert one(cursor, "SELECT current_user") == "lock_monitoring_role"


@BOTH
def test_the_admin_role_ends_with_a_failed_transaction_too(vault_db: str) -> None:
    with pytest.raises(ZeroDivisionError), vault.admin_transaction():
        raise ZeroDivisionError
    with vault.cursor() as cursor:
        assert one(cursor, "SELECT current_user") == "lock_monitoring_role"


@BOTH
def test_the_admin_role_is_refused_inside_another_transaction(vault_db: str) -> None:
    from django.db import transaction

    with (
        transaction.atomic(using="vault"),
        pytest.raises(RuntimeError, match="durable"),
        vault.admin_transaction(),
    ):
        pass


@BOTH
def test_a_direct_connection_says_what_it_is_for_and_limits_itself(vault_db: str) -> None:
    with vault.direct_connection(
        "vault", "monitor", statement_timeout_ms=2500, lock_timeout_ms=300
    ) as connection:
        given = connection.info.get_parameters()
        assert given["application_name"] == "one_vault_lockmon:monitor"
        # a host that is gone is noticed within 25 s
        line = (
            "keepalives",
            "keepalives_idle",
            "keepalives_interval",
            "keepalives_count",
            "tcp_user_timeout",
        )
        assert [given[name] for name in line] == ["1", "10", "5", "3", "20000"]
        assert connection.autocommit
        with connection.cursor() as cursor:
            assert one(cursor, "SHOW statement_timeout") == "2500ms"
            assert one(cursor, "SHOW lock_timeout") == "300ms"
            assert one(cursor, "SELECT current_user") == "lock_monitoring_role"
    assert connections["vault"].settings_dict["NAME"] == psycopg.conninfo.conninfo_to_dict(vault_db)["dbname"]


@pytest.fixture
def second_login(server: Server, template_vault: str) -> Iterator[str]:
    """A login that may read activity and nothing else."""
    server.execute("CREATE ROLE only_for_the_loop LOGIN")
    yield "only_for_the_loop"
    server.execute("DROP ROLE only_for_the_loop")


@BOTH
def test_the_loop_uses_the_login_that_the_site_gave_it(
    vault_db: str, second_login: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = connections.databases["vault"] | {"USER": second_login}
    monkeypatch.setattr(settings, "VAULT_DIRECT", {"vault": {"monitor": own}})
    with vault.direct_connection("vault", "monitor") as connection, connection.cursor() as cursor:
        assert one(cursor, "SELECT session_user") == second_login
    with vault.cursor() as cursor:
        assert one(cursor, "SELECT session_user") == APP_LOGIN


def test_vault_models_are_read_from_the_vault_and_all_others_from_default() -> None:
    for model in apps.get_models(include_auto_created=True):
        in_vault = model._meta.app_label == "lockmon" and not model._meta.managed
        assert router.db_for_read(model) == ("vault" if in_vault else "default"), model
        assert router.db_for_write(model) == ("vault" if in_vault else "default"), model
    assert not router.allow_migrate("vault", "auth")
    assert not router.allow_migrate("vault", "lockmon")
    assert router.allow_migrate("default", "auth")


@pytest.mark.django_db(databases=["default", "vault"])
def test_every_page_carries_the_security_headers(client: Client) -> None:
    page = client.get("/admin/login/")
    assert page.status_code == 200
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert page.headers["X-Frame-Options"] == "DENY"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert "no-store" in page.headers["Cache-Control"]
    assert page.cookies["csrftoken"]["httponly"]


@pytest.mark.django_db(databases=["default", "vault"])
def test_the_front_door_leads_to_the_overview(client: Client) -> None:
    assert client.get("/").headers["Location"] == "/admin/"
