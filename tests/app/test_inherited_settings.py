"""Loop, pages, commands, doctor, alerts and installer where the role or the database has settings of its own.

The settings are the server's own list (tests/support/inherited.py). Here a group of them, each at an extreme;
``make test-long`` tries the other groups, and each value by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from django.db import connections

from lockmon import session as sessions
from lockmon.alerts import delivery
from tests.conftest import OpenSession
from tests.support.inherited import Default, defaults, extremes
from tests.support.product import Product
from tests.support.servers import Server
from tests.support.vaults import APP_LOGIN

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

# A setting of a superuser's that blinds: PostgreSQL then tells nobody what a session does.
BLINDING = {("track_activities", "off")}


def database(alias: str) -> str:
    return str(connections[alias].settings_dict["NAME"])


@pytest.fixture
def product(
    server: Server, vault_db: str, session: OpenSession, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Product]:
    monkeypatch.setattr(delivery, "request_sending", lambda alias, tasks=1: None)
    yield Product(server, vault_db, session)
    connections.close_all()


def listed(server: Server, *contexts: str) -> dict[str, list[str]]:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        return extremes(connection, contexts)


@pytest.mark.slow
@pytest.mark.parametrize(
    "place", [0, pytest.param(1, marks=pytest.mark.long), pytest.param(-1, marks=pytest.mark.long)]
)
def test_everything_works_under_a_databases_settings(server: Server, product: Product, place: int) -> None:
    settings = [(name, values[place % len(values)]) for name, values in listed(server, "user").items()]
    with defaults(server, [database("vault"), database("default")], settings) as taken:
        assert len(taken) > 90
        assert list(product.trouble()) == []


@pytest.mark.long
def test_everything_works_under_a_logins_settings(server: Server, product: Product) -> None:
    settings = [(name, values[-1]) for name, values in listed(server, "user").items()]
    with defaults(server, [database("vault")], [*settings, ("role", "none")], APP_LOGIN) as taken:
        assert "role" in taken
        assert list(product.trouble()) == []


@pytest.mark.long
def test_everything_works_under_each_setting(server: Server, product: Product) -> None:
    """Hours on a slow machine: each value of each setting by itself."""
    wrong: dict[Default, list[str]] = {}
    for name, values in listed(server, "user", "superuser").items():
        for value in values:
            if (name, value) in BLINDING:
                continue
            with defaults(server, [database("vault"), database("default")], [(name, value)]):
                trouble = list(product.trouble())
                print(f"{name} = {value}: {trouble or 'well'}", flush=True)
                if trouble:
                    wrong[name, value] = trouble
                connections.close_all()
    assert wrong == {}


def test_no_setting_that_a_role_may_set_is_forgotten(server: Server) -> None:
    """A setting is ours, or it is known to change nothing that we say."""
    ours = {name.lower() for name in sessions.Session.of().settings} | {"local_preload_libraries"}
    unknown = {name.lower() for name in listed(server, "user")} - ours - LEFT_TO_THE_SITE
    assert unknown == set()


# Memory, cost and progress, what is logged, what only maintenance or replication does: time, never a result.
LEFT_TO_THE_SITE = {
    "application_name",  # said in the connection's own parameter
    "backend_flush_after",
    "commit_siblings",
    "debug_logical_replication_streaming",
    "debug_pretty_print",
    "default_statistics_target",
    "default_text_search_config",
    "default_toast_compression",
    "effective_io_concurrency",
    "enable_partitionwise_aggregate",
    "enable_partitionwise_join",
    "file_copy_method",
    "geqo_effort",
    "geqo_generations",
    "geqo_pool_size",
    "geqo_seed",
    "geqo_selection_bias",
    "gin_pending_list_limit",
    "hash_mem_multiplier",
    "io_combine_limit",
    "jit_above_cost",
    "jit_expressions",
    "jit_inline_above_cost",
    "jit_optimize_above_cost",
    "jit_tuple_deforming",
    "log_parameter_max_length_on_error",
    "logical_decoding_work_mem",
    "maintenance_io_concurrency",
    "maintenance_work_mem",
    "max_parallel_maintenance_workers",
    "max_parallel_workers",
    "md5_password_warnings",
    "min_parallel_index_scan_size",
    "min_parallel_table_scan_size",
    "parallel_leader_participation",
    "parallel_setup_cost",
    "parallel_tuple_cost",
    "scram_iterations",
    "synchronize_seqscans",
    "synchronous_commit",  # the loop's own is off
    "vacuum_buffer_usage_limit",
    "vacuum_cost_delay",
    "vacuum_cost_limit",
    "vacuum_cost_page_dirty",
    "vacuum_cost_page_hit",
    "vacuum_cost_page_miss",
    "vacuum_failsafe_age",
    "vacuum_freeze_min_age",
    "vacuum_freeze_table_age",
    "vacuum_max_eager_freeze_failure_rate",
    "vacuum_multixact_failsafe_age",
    "vacuum_multixact_freeze_min_age",
    "vacuum_multixact_freeze_table_age",
    "vacuum_truncate",
    "wal_sender_timeout",
    "wal_skip_threshold",
    "work_mem",
}
