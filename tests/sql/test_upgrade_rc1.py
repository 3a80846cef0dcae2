"""A living site of release candidate 1 is updated: its history, its rights, its people's settings stay.

The site is tests/data/releases/rc1.sql, made by that release itself (tests/support/release_dump.py).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from lockmon.install import connect as connect_installer
from lockmon.install import grant_login, install, verify
from tests.conftest import Connect, OpenSession
from tests.sql.test_install import assert_same
from tests.support import catalog, people, releases, sites, vaults
from tests.support.servers import Server
from tests.support.stored import OF_THIS_SERVER, Stored

# What an update may do to rows that are there: a pattern of columns by table, with the reason.
PUT_RIGHT = {
    "lock_monitoring.blocking_session_s": "severities follow another rule: test_upgrade_policies",
    "lock_admin.policy_mode_s": "an armed mode ends where two people were one role: test_upgrade_policies",
    "monitoring.alert_configuration_s": "an alert's question was wrong: test_lock_table_use",
}

Contents = dict[str, "Counter[str]"]


@pytest.fixture(scope="module")
def fresh(server: Server) -> Iterator[psycopg.Connection[Any]]:
    """The same site with this release installed for the first time."""
    name = sites.real_site(server, old_functions=False)
    with connect_installer(server.dsn(name)) as installer:
        install(server.dsn(name))
        grant_login(installer, vaults.APP_LOGIN)
        installer.execute("GRANT lock_admin_role TO shop_dba")
        yield installer


def update(server: Server, dsn: str, tool: str = "python") -> None:
    """Install this release over what is there."""
    if tool == "python":
        assert install(dsn).changed
    else:
        sites.install_with_psql(server, str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]))


def columns(connection: psycopg.Connection[Any]) -> dict[str, list[str]]:
    """The columns of every table of ours, in their order."""
    found: dict[str, list[str]] = {}
    for table, column in connection.execute(
        "SELECT c.oid::regclass::text, a.attname"
        " FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid"
        " WHERE c.relkind IN ('r', 'p') AND c.relnamespace::regnamespace::text = ANY(%s) AND a.attnum > 0"
        " AND NOT a.attisdropped ORDER BY 1, a.attnum",
        [list(catalog.OURS)],
    ):
        found.setdefault(table, []).append(column)
    return found


def rows(connection: psycopg.Connection[Any], tables: dict[str, list[str]]) -> Contents:
    """Every row of these tables as text, by these columns."""
    return {
        table: Counter(
            row[0]
            for row in connection.execute(
                f"SELECT ROW({', '.join(f't.{name}' for name in names)})::text FROM {table} AS t"
            )
        )
        for table, names in tables.items()
    }


def comparable(lines: list[str]) -> list[str]:
    """Without the place of a column, and without the casts that PostgreSQL moves when a dump is restored."""
    lines = [re.sub(r"^(column \S+) \d{3} ", r"\1 ", line) for line in lines]
    restored = ("constraint ", "index ")
    return sorted(
        re.sub(r"::character varying|::text(\[\])?|[()]", "", line) if line.startswith(restored) else line
        for line in lines
    )


def test_the_site_has_a_days_history(site: str, connect: Connect) -> None:
    """The dump is what the other tests take it for."""
    old = connect(site)
    counted = {table: sum(found.values()) for table, found in rows(old, columns(old)).items()}
    few = {
        "lock_monitoring.lock_activity_s": 200,
        "lock_monitoring.blocking_session_s": 50,
        "lock_monitoring.lock_blocking_l": 30,
        "lock_monitoring.deadlock_event_s": 8,
        "lock_monitoring.lock_wait_analysis_s": 1,
        "lock_engine.coverage": 4,
        "lock_engine.coverage_gap": 1,
        "lock_engine.wait_rollup": 20,
        "lock_log.event": 50,
        "lock_admin.action_log": 20,
        "lock_admin.policy_decision": 2,
        "monitoring.alert_event_s": 5,
    }
    assert {table: counted[table] for table, least in few.items() if counted[table] < least} == {}
    span = old.execute(
        "SELECT max(load_date) - min(load_date) > interval '20 hours',"
        " count(*) FILTER (WHERE load_end_date IS NULL)"
        " FROM lock_monitoring.lock_activity_s"
    ).fetchone()
    assert span is not None and span[0] and span[1] > 0


@pytest.mark.parametrize("tool", ["python", "psql"])
def test_a_living_site_becomes_this_release(
    server: Server, site: str, fresh: psycopg.Connection[Any], connect: Connect, tool: str
) -> None:
    living = connect(site)
    known = columns(living)
    before = rows(living, known)
    update(server, site, tool)

    # definitions, owners and rights are those of a first install
    assert_same(
        comparable(catalog.definitions(fresh)),
        comparable(catalog.definitions(living)),
    )
    hashed = "SELECT lock_engine.catalog_hash()"
    assert living.execute(hashed).fetchone() == fresh.execute(hashed).fetchone()
    assert [check for check in verify(living) if not check.passed] == []

    # every row of the release before is there, with what it said
    now = columns(living)
    kept = {table: [name for name in names if name in now.get(table, [])] for table, names in known.items()}
    assert kept == known, "a column or table with history in it has gone"
    after = rows(living, known)
    lost = {table: before[table] - after[table] for table in before if before[table] - after[table]}
    assert {table: list(found)[:3] for table, found in lost.items() if table not in PUT_RIGHT} == {}


def test_recorded_rows_get_the_tenant_that_they_claim(server: Server, site: str, connect: Connect) -> None:
    """From the application name, where others wait or the session does; once."""
    living = connect(site)
    tables = ("lock_monitoring.lock_activity_s", "lock_monitoring.blocking_session_s")
    living.execute("SET session_replication_role = replica")
    for table in tables:
        living.execute(
            f"UPDATE {table} SET application_name = 'job tenant=acme' WHERE user_name <> 'postgres'"
        )
    update(server, site)
    for table in tables:
        matters = "(NOT lock_granted OR blocking_count > 0)" if "activity" in table else "true"
        wrong = living.execute(
            f"SELECT count(*) FROM {table} WHERE tenant_claim IS DISTINCT FROM"
            f" CASE WHEN {matters} THEN lock_engine.claimed_tenant(application_name) END"
        ).fetchone()
        some = living.execute(f"SELECT count(*) > 3 FROM {table} WHERE tenant_claim = 'acme'").fetchone()
        assert (wrong, some) == ((0,), (True,)), table
    living.execute(f"UPDATE {tables[0]} SET tenant_claim = 'another' WHERE tenant_claim = 'acme'")
    install(site, again=True)
    assert living.execute(f"SELECT count(*) FROM {tables[0]} WHERE tenant_claim = 'acme'").fetchone() == (0,)


def test_sums_of_hours_stay_as_recorded_and_it_is_known_until_when(
    server: Server, site: str, connect: Connect
) -> None:
    living = connect(site)
    before = living.execute(
        "SELECT rolled_until, rolled_until > rolled_from FROM lock_engine.wait_rollup_state"
    )
    until, some = before.fetchone() or (None, None)
    assert some
    update(server, site)
    known = "SELECT counted_until FROM lock_engine.wait_rollup_state"
    assert living.execute(known).fetchone() == (until,)
    # what is added up anew is of this release
    assert until is not None
    earlier = until - timedelta(hours=2)
    living.execute("SELECT lock_engine.unroll_waits(%s)", [earlier])
    living.execute("SELECT lock_engine.roll_up_waits('1 minute')")
    assert living.execute(known).fetchone() == (earlier,)
    assert not install(site, again=True).changed
    assert living.execute(known).fetchone() == (earlier,)


@pytest.mark.parametrize("again", [False, True])
def test_a_second_update_changes_nothing(server: Server, site: str, connect: Connect, again: bool) -> None:
    update(server, site)
    living = connect(site)
    definitions, contents = catalog.definitions(living), catalog.contents(living)
    assert not install(site, again=again).changed
    assert_same(definitions, catalog.definitions(living))
    assert {
        table
        for table, found in catalog.contents(living).items()
        if found != contents[table] and table != "lock_engine.installation"
    } == set()


def test_cycles_go_on_where_the_release_before_stopped(
    server: Server, site: str, connect: Connect, session: OpenSession
) -> None:
    """What was open when the site was updated is ended, and what happens now is stored."""
    stored = Stored(connect(site))
    open_rows = "SELECT count(*) FROM lock_monitoring.{} WHERE load_end_date IS NULL AND lock_pid = ANY(%s)"
    pids = [
        row["pid"]
        for row in stored.rows(
            "SELECT DISTINCT lock_pid AS pid FROM lock_monitoring.lock_activity_s WHERE load_end_date IS NULL"
        )
    ]
    assert stored.value(open_rows.format("lock_activity_s"), pids)
    update(server, site)
    holder, waiter = session(site), session(site)
    holder.run("UPDATE demo.accounts SET balance = balance WHERE id = 1")
    waiter.start("UPDATE demo.accounts SET balance = balance WHERE id = 1")
    waiter.wait_blocked()
    assert stored.cycle()["monitoring_summary"] is not None
    assert stored.locks(waiter.pid, f"NOT lock_granted AND {OF_THIS_SERVER}")
    (episode,) = stored.episodes(holder.pid, OF_THIS_SERVER)
    assert episode["is_root"]
    left = stored.rows(
        "SELECT lock_pid FROM lock_monitoring.lock_activity_s WHERE load_end_date IS NULL"
        " AND lock_pid <> ALL(%s) AND backend_start < pg_postmaster_start_time()",
        [],
    )
    assert left == []
    stored.check_rules()
    stored.rows("SELECT * FROM lock_monitoring.analyze_lock_waits()")
    stored.rows("SELECT * FROM lock_monitoring.cleanup_old_data(30)")
    stored.check_rules()


def test_the_way_back_is_the_old_releases_files(
    server: Server, site: str, connect: Connect, session: OpenSession, tmp_path: Path
) -> None:
    """Its functions work again over all that was recorded meanwhile; what is new stays unused."""
    living = connect(site)
    update(server, site)
    stored = Stored(living)
    stored.cycle()
    known = columns(living)
    before = rows(living, known)

    name = str(psycopg.conninfo.conninfo_to_dict(site)["dbname"])
    old_files = releases.files("rc1", tmp_path)
    sites.install_with_psql(server, name, old_files)
    first = sites.real_site(server, old_functions=False)
    sites.install_with_psql(server, first, old_files)
    old, now = (
        [line for line in catalog.definitions(one) if line.startswith("function ")]
        for one in (connect(first), living)
    )
    assert_same(old, now)
    after = rows(living, known)
    assert {table for table in before if before[table] - after[table]} <= {"lock_log.state"}
    holder, waiter = session(site), session(site)
    holder.run("UPDATE demo.accounts SET balance = balance WHERE id = 1")
    waiter.start("UPDATE demo.accounts SET balance = balance WHERE id = 1")
    waiter.wait_blocked()
    stored.cycle()
    assert stored.episodes(holder.pid, OF_THIS_SERVER)
    waiter.close()
    holder.close()
    stored.wait_gone(waiter.pid)
    stored.cycle()
    stored.check_rules()

    update(server, site)
    assert [check for check in verify(living) if not check.passed] == []


@pytest.mark.django_db(transaction=True, databases=["default", "vault"])
def test_the_pages_read_the_release_befores_history(server: Server, site: str, connect: Connect) -> None:
    update(server, site)
    living = connect(site)
    # the day of the dump ends now
    (since,) = living.execute(
        "SELECT (now() - max(load_date))::text FROM lock_monitoring.lock_activity_s"
    ).fetchone() or ("",)
    releases.move(living, since)
    with connect_installer(site) as installer:
        grant_login(installer, vaults.APP_LOGIN)
    name = str(psycopg.conninfo.conninfo_to_dict(site)["dbname"])
    before = vaults.point_alias("vault", server, name, vaults.APP_LOGIN)
    try:
        people.use_app_login()
        client = people.browser("dba")
        for path in history(living):
            answer = client.get(path, follow=True)
            assert answer.status_code == 200, f"{path}: {answer.status_code}"
        overview = client.get("/admin/monitor/insight/?by=application").content.decode()
        assert "demo: " in overview
    finally:
        vaults.point_alias("vault", server, before, vaults.APP_LOGIN)


def history(living: psycopg.Connection[Any]) -> list[str]:
    """Addresses of what the release before has stored."""

    def one(question: str) -> str:
        row = living.execute(question).fetchone()
        assert row is not None
        return str(row[0])

    episode = one("SELECT encode(blocking_session_hk, 'hex') FROM lock_monitoring.blocking_session_s LIMIT 1")
    deadlock = one("SELECT encode(deadlock_event_hk, 'hex') FROM lock_monitoring.deadlock_event_s LIMIT 1")
    at = one(
        "SELECT to_char(load_date + interval '1 second', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
        " FROM lock_monitoring.blocking_session_s ORDER BY load_date LIMIT 1"
    )
    return [
        "/admin/",
        "/admin/monitor/live/",
        f"/admin/monitor/time/?at={at}",
        f"/admin/monitor/episode/{episode}/",
        f"/admin/monitor/deadlock/{deadlock}/",
        *(
            f"/admin/monitor/insight/?by={by}"
            for by in ("application", "user", "query", "database", "tenant")
        ),
        *(
            f"/admin/lockmon/{name}/"
            for name in ("lockactivity", "blockingsession", "deadlockevent", "lockwaitanalysis")
        ),
    ]


@pytest.mark.parametrize("tool", ["python", "psql"])
def test_texts_that_nobody_could_read_are_made_readable(server: Server, connect: Connect, tool: str) -> None:
    """What sessions of a LATIN1 database left in the release before; a dump of it did not restore."""
    name = releases.restore(server, "rc1", unreadable=True)
    living = connect(name)
    poisoned = releases.unreadable_values(living)
    assert len({table for table, *_ in poisoned}) >= 3
    # of every type that a column has, and where a trigger forbids it to people
    raw = "(SELECT l.query_text FROM lock_monitoring.lock_activity_s l"
    raw += " WHERE NOT pg_temp.readable(l.query_text) LIMIT 1)"
    living.execute("SET session_replication_role = replica")
    living.execute("ALTER TABLE lock_admin.action_log DISABLE TRIGGER ALL")
    living.execute(
        f"UPDATE lock_admin.action_log SET reason = {raw}, prediction = jsonb_build_object('query', {raw})"
    )
    living.execute("ALTER TABLE lock_admin.action_log ENABLE TRIGGER ALL")
    living.execute(
        f"UPDATE lock_monitoring.deadlock_event_s SET involved_queries = ARRAY[{raw}, 'plain', NULL]"
    )
    living.execute("RESET session_replication_role")
    triggers = "SELECT tgname, tgenabled FROM pg_trigger ORDER BY 1, 2"
    before = living.execute(triggers).fetchall()
    plain = living.execute("SELECT count(*) FROM lock_monitoring.lock_activity_s").fetchone()

    update(server, server.dsn(name), tool)

    assert releases.unreadable_values(living) == []
    assert living.execute("SELECT count(*) FROM lock_monitoring.lock_activity_s").fetchone() == plain
    assert set(before) <= set(living.execute(triggers).fetchall())
    texts = living.execute(
        "SELECT DISTINCT l.query_text FROM lock_monitoring.lock_activity_s AS l"
    ).fetchall()
    assert r"UPDATE stra\xDFe SET ort = 'Malm\xF6' WHERE id = 1" in {text for (text,) in texts}
    [(reason, prediction)] = living.execute(
        "SELECT DISTINCT reason, prediction FROM lock_admin.action_log"
    ).fetchall()
    assert "\\xDF" in reason and prediction == {"query": reason}
    [(queries,)] = living.execute(
        "SELECT DISTINCT involved_queries FROM lock_monitoring.deadlock_event_s"
    ).fetchall()
    assert queries == [reason, "plain", None]

    # and now it can be dumped and restored
    other = server.create_database()
    restored = sites.psql(
        server, other, "-q", "-v", "ON_ERROR_STOP=1", "-f", "-", stdin=releases.dumped(server, name)
    )
    assert restored.returncode == 0, restored.stderr
    assert not install(server.dsn(name)).changed
    server.drop_database(other)
    server.drop_database(name)
