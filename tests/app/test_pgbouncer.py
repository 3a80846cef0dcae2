"""Sessions that pgbouncer hands from one client to the next: what one left there does no harm to the other.

Where no pgbouncer is installed this is skipped, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from django.db import connections

from lockmon.monitor.connection import CannotWatchError, open_connection
from lockmon.monitor.options import loop_options
from tests.conftest import Connect, OpenSession
from tests.sql.test_planted_site import HARM, SESSION
from tests.support.aside import blocked_pair, two_tenants
from tests.support.bouncer import HOST, PROGRAM, bouncer
from tests.support.people import browser
from tests.support.planted import SPY, ran
from tests.support.servers import Server
from tests.support.stored import Stored
from tests.support.vaults import APP_LOGIN, point_alias

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "vault"]),
    pytest.mark.skipif(
        PROGRAM is None, reason="pgbouncer is not installed here (Debian: apt-get install pgbouncer)"
    ),
]

PAGES = (
    "/admin/",
    "/admin/monitor/live/",
    "/admin/monitor/time/",
    "/admin/monitor/insight/?by=application",
    "/admin/lockmon/lockactivity/",
    "/admin/lockmon/blockingsession/",
    "/admin/lockmon/policy/",
    "/admin/lockmon/alert/",
)
# Whatever a session that is nobody's alone can be left with by whoever works in it; no superuser.
POISON = """
SELECT set_config('search_path', 'trap, public', false), set_config('DateStyle', 'German', false),
       set_config('IntervalStyle', 'iso_8601', false), set_config('TimeZone', 'Asia/Kathmandu', false),
       set_config('bytea_output', 'escape', false), set_config('extra_float_digits', '-15', false),
       set_config('row_security', 'off', false), set_config('array_nulls', 'off', false),
       set_config('standard_conforming_strings', 'off', false), set_config('xmloption', 'document', false),
       set_config('transform_null_equals', 'on', false), set_config('quote_all_identifiers', 'on', false),
       set_config('lock_timeout', '1ms', false), set_config('statement_timeout', '2s', false),
       set_config('default_transaction_deferrable', 'on', false),
       set_config('lock_vault.unplaced_since', '1', false),
       set_config('lock_vault.hubs_deferred', 'on', false), set_config('one_vault.waits_seen', 'x', false),
       set_config('one_vault.counter_looked', 'infinity', false),
       set_config('application_name', 'tenant=BOLT', false);
SELECT pg_advisory_lock(460, 1), pg_advisory_lock(460, 10), pg_advisory_lock_shared(77);
LISTEN trap;
PREPARE _pg3_0 AS SELECT 'not what you asked for';
CREATE TEMP TABLE lock_activity_s (n int);
CREATE TEMP TABLE auth_user (n int);
CREATE TEMP VIEW pg_class AS SELECT 1 AS oid;
CREATE FUNCTION pg_temp.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT ''1453-05-29''::timestamptz';
DECLARE trap CURSOR WITH HOLD FOR SELECT 1;
"""
# What later clients of an ordinary kind rely on, beside what the poisoner himself chose.
LEFT = """
SELECT (SELECT count(*) FROM pg_locks l
         WHERE l.locktype = 'advisory' AND l.pid = pg_backend_pid()) AS locks,
       (SELECT count(*) FROM pg_prepared_statements) AS prepared,
       (SELECT count(*) FROM pg_cursors) AS cursors,
       (SELECT count(*) FROM pg_listening_channels()) AS listening, current_user::text AS who,
       (SELECT array_agg(s.name || '=' || s.setting ORDER BY s.name) FROM pg_settings s
         WHERE s.source = 'session' AND s.name NOT IN ('application_name', 'client_encoding')) AS settings
"""

Client = Callable[..., psycopg.Connection]


@pytest.fixture
def scene(vault_db: str, connect: Connect) -> str:
    """A vault beside tables of a platform's, whose owner can plant there."""
    two_tenants(vault_db)
    connect(vault_db).execute(SPY)
    return vault_db


@pytest.fixture
def port(server: Server) -> Iterator[int]:
    """pgbouncer's port."""
    with bouncer(server, [APP_LOGIN, "postgres"]) as found:
        yield found


@pytest.fixture
def client(scene: str, port: int) -> Iterator[Client]:
    """Open connections through pgbouncer, as clients that share one session of the server's."""
    name = str(psycopg.conninfo.conninfo_to_dict(scene)["dbname"])
    opened: list[psycopg.Connection] = []

    def open_one(user: str = APP_LOGIN) -> psycopg.Connection:
        dsn = f"host={HOST} port={port} dbname={name} user={user}"
        opened.append(psycopg.connect(dsn, autocommit=True, prepare_threshold=None))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def pages(server: Server, scene: str, port: int) -> Iterator[None]:
    """Both of Django's aliases lead through pgbouncer."""
    places = {alias: dict(connections[alias].settings_dict) for alias in ("default", "vault")}
    for alias in places:
        connections[alias].close()
        connections[alias].settings_dict.update({"HOST": HOST, "PORT": port})
    yield
    for alias, before in places.items():
        connections[alias].close()
        connections[alias].settings_dict.update({"HOST": before["HOST"], "PORT": before["PORT"]})
    point_alias("vault", server, str(places["vault"]["NAME"]), APP_LOGIN)


def pid(one: psycopg.Connection) -> int:
    row = one.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])


def test_the_next_client_finds_nothing_of_what_planted_code_did_in_a_cycle(
    scene: str, connect: Connect, client: Client
) -> None:
    """A cron line over the pooler, at a site whose tables have a trap of a kind that nobody thought of."""
    dba = connect(scene)
    dba.execute(HARM)
    dba.execute(
        "CREATE OR REPLACE FUNCTION"
        " lock_engine.site_fault(p_table text, p_columns text[], p_oid oid DEFAULT NULL) RETURNS text"
        " LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS 'SELECT NULL::text'"
    )
    cron, application = client(), client()
    assert pid(cron) == pid(application), "they share a session"
    before, left = Stored(application).one(SESSION), Stored(application).one(LEFT)
    dba.execute("SELECT lock_engine.tenant_of('nobody', 'tenant=ACME')")
    cron.execute("SELECT * FROM lock_monitoring.run_lock_monitoring()")
    everything, with_other_rights = ran(dba)
    assert everything > 0, "the trap was sprung"
    assert with_other_rights == 0
    assert Stored(application).one(SESSION) == before and Stored(application).one(LEFT) == left
    assert not Stored(dba).cycle()["monitoring_summary"].startswith("skipped")


def test_a_session_that_somebody_left_anyhow_is_no_harm_to_cron_lines(
    scene: str, connect: Connect, client: Client, session: OpenSession
) -> None:
    poisoner, cron = client(), client()
    poisoner.execute(POISON)
    assert pid(poisoner) == pid(cron)
    left = Stored(poisoner).one(LEFT)
    root, waiter = blocked_pair(scene, session, "ACME", 1)
    mine = Stored(cron)
    for _ in range(2):
        cycle = mine.one("SELECT * FROM lock_monitoring.run_lock_monitoring()")
        assert not cycle["monitoring_summary"].startswith("skipped")
    stored = Stored(connect(scene))
    assert stored.locks(waiter.pid, "NOT lock_granted") and stored.episodes(root.pid)
    for call in (
        "lock_monitoring.capture_lock_activity()",
        "lock_monitoring.detect_blocking_sessions()",
        "lock_monitoring.detect_deadlocks()",
        "lock_monitoring.analyze_lock_waits()",
    ):
        mine.rows(f"SELECT * FROM {call}")
    # its hold on our own advisory locks is taken away, and said, when tenants are asked for
    (failing,) = stored.rows(
        "SELECT part, last_error FROM lock_engine.part_state WHERE failures_in_a_row > 0"
    )
    assert failing["part"] == "tenants" and "put back" in failing["last_error"]
    mine.rows("SELECT lock_engine.ask_site(true)")
    assert stored.rows("SELECT * FROM lock_engine.part_state WHERE failures_in_a_row > 0") == []
    assert not stored.cycle()["monitoring_summary"].startswith("skipped"), "nor is anybody else kept out"
    stored.check_rules()
    after = Stored(poisoner).one(LEFT)
    assert after | {"locks": 0} == left | {"locks": 0}, "and it is left as it was"
    assert after["locks"] <= left["locks"]


@pytest.mark.parametrize("who", ["the vault's", "both"])
def test_a_session_that_somebody_left_anyhow_is_no_harm_to_pages(
    scene: str, connect: Connect, client: Client, pages: None, session: OpenSession, who: str
) -> None:
    blocked_pair(scene, session, "ACME", 1)
    Stored(connect(scene)).cycle()
    dba = browser("dba")
    before = {path: dba.get(path, follow=True) for path in PAGES}
    assert {path: answer.status_code for path, answer in before.items()} == dict.fromkeys(PAGES, 200)
    assert connections["vault"].shares_sessions  # type: ignore[attr-defined]
    client().execute(POISON)
    if who == "both":
        with connections["default"].cursor() as cursor:
            name = str(connections["default"].settings_dict["NAME"])
            cursor.execute("SELECT 1")
        port = connections["default"].settings_dict["PORT"]
        with psycopg.connect(f"host={HOST} port={port} dbname={name} user=postgres", autocommit=True) as web:
            web.execute(POISON)
            web.execute("SET session_replication_role = replica")
    after = {path: dba.get(path, follow=True) for path in PAGES}
    assert {path: answer.status_code for path, answer in after.items()} == dict.fromkeys(PAGES, 200)
    for path in PAGES:
        text = after[path].content.decode()
        assert "1453-05" not in text and "not what you asked for" not in text, path
    assert "till" in after["/admin/"].content.decode() or "ACME" in after["/admin/"].content.decode()


def test_a_read_only_session_is_no_reason_for_pages_to_fail(scene: str, client: Client, pages: None) -> None:
    """What is written through the pages is written, and Django's own rows, too."""
    client().execute(
        "SET default_transaction_read_only = on; SET default_transaction_isolation = serializable"
    )
    port, name = connections["default"].settings_dict["PORT"], connections["default"].settings_dict["NAME"]
    with psycopg.connect(f"host={HOST} port={port} dbname={name} user=postgres", autocommit=True) as web:
        web.execute(
            "SET default_transaction_read_only = on; SET default_transaction_isolation = serializable"
        )
    dba = browser("dba")
    for path in PAGES:
        assert dba.get(path, follow=True).status_code == 200, path
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM django_session")
        assert cursor.fetchone()[0] > 0


@pytest.mark.parametrize("refuses", [False, True])
def test_the_loop_refuses_it_in_one_sentence(server: Server, vault_db: str, refuses: bool) -> None:
    with bouncer(server, [APP_LOGIN], refuses=refuses) as port:
        place = connections["vault"].settings_dict
        before = dict(place)
        connections["vault"].close()
        place.update({"HOST": HOST, "PORT": port})
        try:
            with pytest.raises(CannotWatchError, match=r"pooler.*VAULT_MONITOR_DATABASE_URL"):
                open_connection("vault", "monitor", loop_options()).connection.close()
        finally:
            connections["vault"].close()
            place.update({"HOST": before["HOST"], "PORT": before["PORT"]})
