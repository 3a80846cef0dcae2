"""Pages, commands and files where text is of another encoding: sessions watched, and the vault itself."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from lockmon import actions
from tests.support import loops, scenes, strangers, vaults
from tests.support.people import browser, use_app_login
from tests.support.poll import poll
from tests.support.servers import Server
from tests.support.strangers import Abroad, Stranger

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

WORDS = b"caf\xe9 \xff\x81"
SHOWN = r"caf\xE9 \xFF\x81"


@pytest.fixture
def abroad(server: Server) -> Iterator[Abroad]:
    """Databases in other encodings and sessions there."""
    with strangers.abroad(server) as there:
        yield there


@pytest.fixture(params=["LATIN1", "WIN1252", "KOI8R", "EUC_JP"])
def other_vault(server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """The superuser's DSN of a vault in another encoding, to which Django's alias leads."""
    name = f"vault_{request.param.lower()}"
    strangers.create_database(server, name, request.param)
    vaults.install(server.dsn(name))
    before = vaults.point_alias("vault", server, name, vaults.APP_LOGIN)
    yield f"{server.dsn(name)} client_encoding=UTF8"
    vaults.point_alias("vault", server, before, vaults.APP_LOGIN)
    server.drop_database(name)


def said_by(command: str, *arguments: str) -> str:
    """What a command prints."""
    out = io.StringIO()
    call_command(command, *arguments, stdout=out)
    return out.getvalue()


def addresses(holder: int, waiter: int, dsn: str) -> list[str]:
    """Every page that shows sessions, now or as stored."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(
            "SELECT encode(blocking_session_hk, 'hex') FROM lock_monitoring.blocking_session_s LIMIT 1"
        ).fetchone()
    assert row is not None
    at = (timezone.now() - timedelta(seconds=1)).isoformat().replace("+00:00", "Z")
    return [
        "/admin/",
        "/admin/monitor/live/",
        "/admin/monitor/waiters/",
        f"/admin/monitor/session/?node={holder}",
        f"/admin/monitor/session/?node={waiter}",
        f"/admin/monitor/time/?at={at}",
        f"/admin/monitor/episode/{row[0]}/",
        *(
            f"/admin/monitor/insight/?by={by}"
            for by in ("application", "user", "query", "database", "tenant")
        ),
        "/admin/lockmon/lockactivity/",
        "/admin/lockmon/blockingsession/",
        "/admin/lockmon/deadlockevent/",
        "/admin/lockmon/lockwaitanalysis/",
    ]


def actions_stored(dsn: str) -> list[dict[str, object]]:
    """The door's log."""
    return loops.rows(dsn, "SELECT * FROM lock_admin.action_log")


def get(client: Client, path: str) -> str:
    answer = client.get(path, follow=True)
    assert answer.status_code == 200, f"{path}: {answer.status_code}"
    return answer.content.decode()


def test_every_page_and_command_shows_them(vault_db: str, abroad: Abroad) -> None:
    use_app_login()
    holder, waiter = abroad.at_home(), abroad.at_home()
    abroad.queue(holder, waiter, WORDS)
    scenes.cycle(vault_db)
    client = browser("dba")
    pages = {path: get(client, path) for path in addresses(holder.pid, waiter.pid, vault_db)}
    for path in ("/admin/monitor/live/", f"/admin/monitor/session/?node={waiter.pid}"):
        assert SHOWN in pages[path], path
    assert any(r"caf\xE9" in page and r"donn\xE9es" in page for page in pages.values())
    for words in (
        ("lockmon_top", "--once"),
        ("lockmon_blocking",),
        ("lockmon_rescue",),
        ("lockmon_blocking", "--json"),
        ("lockmon_deadlocks",),
        ("lockmon_report", "--period", "day"),
        ("lockmon_report", "--period", "day", "--format", "html"),
    ):
        assert said_by(*words), words
    assert json.loads(said_by("lockmon_blocking", "--json"))
    exported = client.get(reverse("admin:lockmon_lockactivity_export", args=["csv"]))
    rows = b"".join(exported.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    assert SHOWN in rows


def test_the_loop_goes_on_beside_them(vault_db: str, abroad: Abroad) -> None:
    with loops.running_loop():
        before = loops.until_watching(vault_db)
        holder, waiter = abroad.at_home(), abroad.at_home()
        abroad.queue(holder, waiter, WORDS)

        def stored() -> list[dict[str, object]]:
            return loops.rows(
                vault_db, "SELECT * FROM lock_monitoring.blocking_session_s WHERE user_name = 'caf\\xE9'"
            )

        poll(stored, 15, "the episode of the session abroad")
        assert loops.status(vault_db).leader_pid == before.leader_pid


def test_the_door_ends_such_a_session(server: Server, vault_db: str, abroad: Abroad) -> None:
    use_app_login()
    holder, waiter = abroad.at_home(), abroad.at_home()
    abroad.queue(holder, waiter, WORDS)
    client = browser("dba")
    facts = actions.look(holder.pid)
    assert facts is not None
    assert (facts.user_name, facts.database_name) == (r"caf\xE9", r"donn\xE9es")
    place = reverse("admin:lockmon_stop")
    identity = urlencode([("pid", str(holder.pid)), ("backend_start", facts.backend_start.isoformat())])
    page = get(client, f"{place}?{identity}")
    assert SHOWN in page
    token = re.search(r'name="token" value="([^"]+)"', page)
    form = {"token": token[1] if token else "", "action": "terminate", "reason": "in the way \u20ac"}
    assert client.post(place, form, follow=True).status_code == 200

    def gone() -> bool:
        with psycopg.connect(vault_db, autocommit=True) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [holder.pid]
            ).fetchone()
        return row == (0,)

    poll(gone, 10, "the session's end")
    log = get(client, reverse("admin:lockmon_actionlog_changelist"))
    assert "in the way \u20ac" in log
    told = str(actions_stored(vault_db))
    assert "caf\\\\xE9" in told and "terminated" in told


def test_a_vault_in_another_encoding_works(other_vault: str, server: Server, abroad: Abroad) -> None:
    """It shows sessions of all encodings, takes what people type, and marks what it lacks."""
    use_app_login()
    name = str(psycopg.conninfo.conninfo_to_dict(other_vault)["dbname"])
    holder, waiter = abroad.session("SQL_ASCII", Abroad.USER), abroad.session("SQL_ASCII", Abroad.USER)
    abroad.queue(holder, waiter, WORDS + b" \x98 \xc3\xa9")
    home = Stranger(server, name.encode())
    abroad.opened.append(home)
    home.run(b"SELECT 'home' /* caf\xe9\xe9 */")
    scenes.cycle(other_vault)
    client = browser("dba")
    for path in addresses(holder.pid, waiter.pid, other_vault):
        get(client, path)
    for words in (("lockmon_top", "--once"), ("lockmon_blocking",), ("lockmon_report", "--period", "day")):
        assert said_by(*words), words
    # a character that it lacks, searched for
    for path in (
        "/admin/lockmon/lockactivity/?q=\u20ac\U0001f600",
        "/admin/lockmon/lockactivity/?user=\u20ac\u3042",
    ):
        get(client, path)

    facts = actions.look(holder.pid)
    assert facts is not None
    place = reverse("admin:lockmon_stop")
    identity = urlencode([("pid", str(holder.pid)), ("backend_start", facts.backend_start.isoformat())])
    token = re.search(r'name="token" value="([^"]+)"', get(client, f"{place}?{identity}"))
    form = {
        "token": token[1] if token else "",
        "action": "terminate",
        "reason": "in the way \U0001f600 \u0635",
    }
    assert client.post(place, form, follow=True).status_code == 200
    reasons = {row["reason"] for row in actions_stored(other_vault)} - {None}
    assert reasons == {r"in the way \u1F600 \u0635"}
    assert r"in the way \u1F600 \u0635" in get(client, reverse("admin:lockmon_actionlog_changelist"))
