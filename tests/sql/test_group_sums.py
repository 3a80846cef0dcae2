"""A session with its parallel workers is one waiting session in every sum, however many of them wait."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from lockmon.calls import losses, metrics, report
from lockmon.install import install
from lockmon.views.figures import waiting_picture
from tests.conftest import Connect, OpenSession
from tests.support import releases
from tests.support.parallel import WAITS, ParallelScene
from tests.support.people import use_app_login
from tests.support.servers import Server
from tests.support.stored import Row, Stored


@pytest.fixture
def scene(vault_db: str, session: OpenSession, connect: Connect) -> ParallelScene:
    return ParallelScene(vault_db, session, connect)


def until(row: Row) -> datetime:
    """Until when a row of a wait counts: as lock_engine.wait_until()."""
    moment: datetime = row["log_end_at"] or row["last_seen_at"] or row["load_end_date"]
    return moment


def together(rows: list[Row]) -> float:
    """The seconds from the beginning of the first wait of these rows to the end of the last."""
    return float((max(map(until, rows)) - min(row["wait_start"] for row in rows)).total_seconds())


def of_the_session(rows: list[Row]) -> float:
    """What its waits count for it: the longest from its beginning to its end, then what goes on."""
    own = [row for row in rows if row["beside"] is None]
    was = [row for row in rows if row["beside"] == "was"]
    later = float((max(map(until, was)) - min(row["load_date"] for row in was)).total_seconds())
    return together(own) + later


def two_waits_one_after_the_other(scene: ParallelScene) -> tuple[list[Row], float]:
    """Workers of one query wait for two tables; the longer wait ends first. The rows, and the time of all."""
    one, two = scene.lock("t0"), scene.lock("t1")
    query = scene.query("t0", "t1")
    scene.wait_a_while()
    open_rows = scene.stored.rows(f"{WAITS} AND load_end_date IS NULL")
    assert sorted(str(row["beside"]) for row in open_rows) == ["None", "object"]
    (first,) = [row["table_name"] for row in open_rows if row["beside"] is None]
    former, latter = (one, two) if first == "t0" else (two, one)
    former.run("COMMIT")
    scene.waiting(query, 1)
    scene.cycle_until(lambda rows: any(row["beside"] == "was" for row in rows), "the second wait counts now")
    scene.wait_a_while()
    latter.run("COMMIT")
    query.result()
    rows = scene.cycle_until(lambda rows: all(row["load_end_date"] for row in rows), "all has ended")
    assert {row["lock_group"] for row in rows} == {query.pid}
    return rows, of_the_session(rows)


def test_losses_are_the_union_of_what_the_workers_wait_for(scene: ParallelScene) -> None:
    rows, seconds = two_waits_one_after_the_other(scene)
    own = {name: together([row for row in rows if row["table_name"] == name]) for name in ("t0", "t1")}
    assert sum(own.values()) > seconds + 0.5, "they waited at once"
    for rolled_up in (False, True):
        if rolled_up:
            # an hour later
            for table in ("lock_activity_s", "blocking_session_s"):
                scene.stored.connection.execute(
                    f"UPDATE lock_monitoring.{table} SET load_date = load_date - interval '2 hours',"
                    " load_end_date = load_end_date - interval '2 hours',"
                    + (
                        " wait_start = wait_start - interval '2 hours',"
                        " last_seen_at = last_seen_at - interval '2 hours',"
                        " log_end_at = log_end_at - interval '2 hours'"
                        if table == "lock_activity_s"
                        else " blocking_since = blocking_since - interval '2 hours'"
                    )
                )
            assert scene.stored.value("SELECT lock_engine.roll_up_waits('1 minute')") > 0
        since = "clock_timestamp() - interval '4 hours'"
        found = scene.stored.rows(
            "SELECT dimension, table_name, seconds, episodes FROM lock_engine.losses_between("
            f"ARRAY['all', 'relation', 'length'], {since}, clock_timestamp())"
        )
        of = {(row["dimension"], row["table_name"]): (row["seconds"], row["episodes"]) for row in found}
        assert of["all", None] == (pytest.approx(seconds, abs=0.01), 1)
        for name in ("t0", "t1"):
            assert of["relation", name] == (pytest.approx(own[name], abs=0.01), 1)
        assert sum(row["episodes"] for row in found if row["dimension"] == "length") == 1
        by_hour = scene.stored.value(
            f"SELECT sum(seconds) FROM lock_engine.waiting_by_hour({since}, clock_timestamp())"
        )
        assert by_hour == pytest.approx(seconds, abs=0.01)


def test_the_analysis_and_the_report_count_one_wait_of_one_session(scene: ParallelScene) -> None:
    rows, seconds = two_waits_one_after_the_other(scene)
    begun = min(row["wait_start"] for row in rows)
    scene.stored.rows("SELECT * FROM lock_monitoring.analyze_lock_waits(NULL, 1)")
    kept = scene.stored.one("SELECT * FROM lock_monitoring.lock_wait_analysis_s")
    assert float(kept["blocked_seconds"]) == pytest.approx(seconds, abs=0.05)
    assert kept["exclusive_lock_conflicts"] + kept["shared_lock_conflicts"] == 1
    assert {spot["object"]: spot["waits"] for spot in kept["contention_hotspots"]} == {
        "app.t0": 1,
        "app.t1": 1,
    }
    period = (begun - timedelta(minutes=1), scene.now())
    with scene.stored.connection.cursor() as cursor:
        total = report.totals(cursor, *period)
        assert total.waits == 1
        assert total.waited == pytest.approx(seconds, abs=0.05)
        (sufferer,) = report.shares(cursor, "sufferer", *period)
        assert (sufferer.name, sufferer.waits) == ("parallel query", 1)
        assert sufferer.waited == pytest.approx(seconds, abs=0.05)
        relations = report.shares(cursor, "relation", *period)
        assert {one.name: one.waits for one in relations} == {"app.t0": 1, "app.t1": 1}
        assert sum(one.waited for one in relations) > seconds + 0.5
        holders = report.blockers(cursor, *period)
        assert {one.name for one in holders} == {"holder of t0", "holder of t1"}
        # each for as long as a worker waited for what it held
        own = {name: together([row for row in rows if row["table_name"] == name]) for name in ("t0", "t1")}
        assert {one.name: one.waited for one in holders} == pytest.approx(
            {f"holder of {name}": length for name, length in own.items()}, abs=0.05
        )


def test_workers_that_wait_for_one_table_are_one_wait_for_it(scene: ParallelScene) -> None:
    holder = scene.lock("t0")
    query = scene.query("t0", "t0")
    other = scene.session(scene.dsn)
    other.start("SELECT 1 FROM app.t0")
    other.wait_blocked()
    scene.wait_a_while()
    tenant = scene.stored.value("SELECT lock_engine.system_tenant()")
    figures = scene.stored.one("SELECT * FROM lock_engine.tenant_figures(%s)", tenant)
    assert figures["waiting_sessions"] == 2
    with scene.stored.connection.cursor() as cursor:
        assert sum(value for _, value in metrics.waits(cursor)) == 2
        now = dict(metrics.blocked_seconds(cursor))
        assert now[("sum",)] < 2.5 * now[("longest",)]
        gap = (scene.now() - timedelta(minutes=1), scene.now())
        assert sum(piece.waits for piece in losses.waits_unseen(cursor, [gap])) == 2
    holder.run("COMMIT")
    query.result()
    other.result()
    rows = scene.cycle_until(lambda rows: all(row["load_end_date"] for row in rows), "all has ended")
    seconds = sum(
        together([row for row in rows if (row["lock_group"] is None) is alone]) for alone in (True, False)
    )
    for dimension, name in (("all", None), ("relation", "t0")):
        lost, waits = scene.lost(dimension)[name]
        assert waits == 2 and lost == pytest.approx(seconds, abs=0.01)


@pytest.mark.django_db(transaction=True, databases=["default", "vault"])
def test_pictures_draw_one_waiting_session(scene: ParallelScene) -> None:
    use_app_login()
    rows, seconds = two_waits_one_after_the_other(scene)
    picture = waiting_picture(rows[0]["load_date"] - timedelta(minutes=1), scene.now(), 10)
    # a picture draws what was seen: from the first look at a wait on
    first = min(row["load_date"] for row in rows if row["beside"] is None)
    before = (first - min(row["wait_start"] for row in rows)).total_seconds()
    assert sum(slot.blocked for slot in picture.slots) == pytest.approx(seconds - before, abs=0.01)


def test_rows_of_an_earlier_release_stay_as_recorded_and_new_ones_count_once(
    server: Server, session: OpenSession, connect: Connect
) -> None:
    dsn = server.dsn(releases.restore(server, "rc1"))
    install(dsn)
    stored = Stored(connect(dsn))
    assert stored.value("SELECT count(*) FROM lock_monitoring.lock_activity_s WHERE NOT lock_granted") > 20
    unmarked = "SELECT count(*) FROM lock_monitoring.lock_activity_s WHERE beside IS NULL"
    assert stored.value(unmarked) == stored.value("SELECT count(*) FROM lock_monitoring.lock_activity_s")
    waits = stored.rows(
        "SELECT w.is_own, w.for_object, w.own_seconds = w.seconds_in_period AS whole,"
        " w.object_seconds = w.own_seconds AS same"
        " FROM lock_engine.waits_between(NULL, '2020-01-01', '2100-01-01') w"
    )
    assert len(waits) > 20 and all(all(row.values()) for row in waits)
    scene = ParallelScene(dsn, session, connect)
    scene.stored.cycle()  # what was open when the site was updated has ended
    before = scene.now()
    _, seconds = two_waits_one_after_the_other(scene)
    found = stored.rows(
        "SELECT seconds, episodes FROM lock_engine.losses_between('{all}', %s, clock_timestamp())", before
    )
    assert [(row["seconds"], row["episodes"]) for row in found] == [(pytest.approx(seconds, abs=0.01), 1)]
