"""Each system check, by its id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connections
from pytest_django import Settings

from lockmon.checks import check_settings, check_vault, check_vaults
from onevault import web_place
from onevault.databases import own
from tests.support.servers import Server


def ids(messages: list[Any]) -> list[str]:
    return [message.id for message in messages]


def test_the_shipped_settings_pass() -> None:
    assert check_settings() == []


def test_e001_a_vault_that_is_no_database_of_ours(settings: Settings) -> None:
    settings.VAULT_ALIASES = ["vault", "elsewhere"]
    assert ids(check_settings()) == ["lockmon.E001"]


def test_e002_an_unknown_or_impossible_time_of_the_loop(settings: Settings) -> None:
    settings.LOCKMON_LOOP = {"tik": 1}
    assert ids(check_settings()) == ["lockmon.E002"]
    settings.LOCKMON_LOOP = {"tick": 0}
    assert ids(check_settings()) == ["lockmon.E002"]


def test_e003_too_few_workers(settings: Settings) -> None:
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "workers": 2}
    assert ids(check_settings()) == ["lockmon.E003"]


def test_w001_retry_before_timeout(settings: Settings) -> None:
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "timeout": 90, "retry": 60}
    assert ids(check_settings()) == ["lockmon.W001"]


def test_e008_several_vaults_and_a_file_of_one_host(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.VAULT_ALIASES = ["vault", "second"]
    monkeypatch.setitem(settings.DATABASES, "second", settings.DATABASES["vault"])
    assert check_settings() == []
    monkeypatch.setitem(settings.DATABASES, "default", own(web_place.SQLITE, Path("/nonexistent")))
    (found,) = check_settings()
    assert found.id == "lockmon.E008"
    assert "DATABASE_URL=postgresql://" in str(found.hint)
    settings.VAULT_ALIASES = ["vault"]
    assert check_settings() == []


@pytest.mark.django_db(transaction=True, databases=["default", "vault"])
def test_databases_are_asked_only_when_named(vault_db: str) -> None:
    assert check_vaults(databases=["default"]) == []
    assert set(ids(check_vaults(databases=list(settings.VAULT_ALIASES)))) <= {"lockmon.W004"}


@pytest.mark.django_db(transaction=True, databases=["default", "vault"])
def test_w002_a_vault_out_of_reach(vault_db: str) -> None:
    place = connections["vault"].settings_dict
    name = place["NAME"]
    connections["vault"].close()
    place["NAME"] = "no_such_database"
    try:
        (found,) = check_vault("vault")
        assert found.id == "lockmon.W002"
        assert "does not exist" in found.msg
    finally:
        connections["vault"].close()
        place["NAME"] = name


@pytest.mark.django_db(transaction=True, databases=["default", "vault"])
def test_e005_a_database_without_the_vault(server: Server, vault_db: str) -> None:
    place = connections["vault"].settings_dict
    name = place["NAME"]
    connections["vault"].close()
    place["NAME"] = "postgres"
    try:
        assert ids(check_vault("vault")) == ["lockmon.E005"]
    finally:
        connections["vault"].close()
        place["NAME"] = name


@pytest.mark.django_db(transaction=True, databases=["default", "vault"])
def test_w004_a_vault_that_nobody_watches(vault_db: str) -> None:
    assert "lockmon.W004" in ids(check_vault("vault"))
