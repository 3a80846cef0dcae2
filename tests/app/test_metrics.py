"""/metrics: who may read it, what it holds, what it costs, and that dashboard and rules use names that
exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import reverse
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from pytest_django import Settings

from lockmon.metrics import FAMILIES, metrics
from tests.conftest import OpenSession
from tests.support.loops import rows

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

GRAFANA = Path(__file__).resolve().parents[2] / "docs" / "grafana"
OTHERS = {"lockmon_scrape_failed", "lockmon_scrape_seconds"}


def samples(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Samples by name, as a scraper reads them."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def get(**more: Any) -> HttpResponse:
    """The view's answer; the path it lives under is a test of its own."""
    return metrics(RequestFactory().get("/metrics", **more))


def scrape() -> dict[str, list[tuple[dict[str, str], float]]]:
    answer = get()
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("application/openmetrics-text")
    return samples(answer.content.decode())


def test_figures_of_a_block(vault_db: str, session: OpenSession) -> None:
    holder, waiter = session(vault_db), session(vault_db)
    holder.run("CREATE TABLE contended (id int)")
    holder.run("COMMIT")
    holder.run("LOCK TABLE contended IN ACCESS EXCLUSIVE MODE")
    waiter.start("SELECT * FROM contended")
    waiter.wait_blocked()
    rows(vault_db, "SELECT * FROM lock_monitoring.run_lock_monitoring()")
    found = scrape()
    assert found["lockmon_waiting_sessions"] == [({"vault": "vault"}, 1.0)]
    assert sum(value for _, value in found["lockmon_root_blockers"]) == 1.0
    assert len(found["lockmon_root_blockers"]) == 4
    labels, value = found["lockmon_waits"][0]
    assert (labels["mode"], value) == ("AccessShareLock", 1.0)
    assert labels["relation"].endswith("contended")
    assert found["lockmon_blocked_seconds"][0][1] > 0


def test_every_part_can_be_read_with_the_application_s_rights(vault_db: str) -> None:
    rows(vault_db, "SELECT * FROM lock_monitoring.run_lock_monitoring()")
    failed = [labels["part"] for labels, value in scrape()["lockmon_scrape_failed"] if value]
    assert failed == []


def test_relations_have_bounded_labels(vault_db: str) -> None:
    rows(vault_db, "SELECT * FROM lock_monitoring.run_lock_monitoring()")
    with psycopg.connect(vault_db, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "INSERT INTO lock_monitoring.lock_activity_s (lock_activity_hk, load_date, hash_diff, lock_type,"
            " lock_mode, relation_name, lock_pid, lock_granted, record_source, wait_start)"
            " SELECT int4send(g), now(), '', 'relation', 'AccessShareLock', 'table_' || g, g, false, 'test',"
            " now()"
            " FROM generate_series(1, 500) g"
        )
    found = scrape()["lockmon_waits"]
    assert len(found) == 21
    assert sum(value for _, value in found) == 500


def test_a_token_is_needed_where_one_is_set(vault_db: str, settings: Settings) -> None:
    settings.METRICS_TOKEN = "sesame"
    assert get().status_code == 403
    assert get(headers={"Authorization": "Bearer guess"}).status_code == 403
    assert get(headers={"Authorization": "Bearer sesame"}).status_code == 200


def test_without_a_token_only_this_host_may(vault_db: str, settings: Settings) -> None:
    settings.METRICS_TOKEN = ""
    assert get().status_code == 200
    assert get(REMOTE_ADDR="10.0.0.7").status_code == 403
    assert get(headers={"X-Forwarded-For": "10.0.0.7"}).status_code == 403


@pytest.mark.parametrize("name", ["dashboard.json", "rules.yml"])
def test_dashboard_and_rules_use_names_that_exist(name: str) -> None:
    text = re.sub(r"manage\.py \w+", "", (GRAFANA / name).read_text(encoding="utf-8"))
    if name.endswith(".json"):
        json.loads(text)
    used = set(re.findall(r"\blockmon_[a-z0-9_]+", text))
    assert used
    assert used <= {family.name for family in FAMILIES} | OTHERS


def test_it_lives_where_scrapers_look() -> None:
    assert reverse("metrics") == "/metrics"
