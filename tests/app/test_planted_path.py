"""Nothing planted where a role's or a database's search path leads runs in a statement of ours."""

from __future__ import annotations

import io
from collections.abc import Iterator

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from lockmon import doctor
from lockmon.alerts import delivery
from lockmon.management import web_schema
from lockmon.monitor.connection import CannotWatchError, open_connection
from lockmon.monitor.options import loop_options
from onevault.databases import WEB_SCHEMA
from tests.conftest import Connect, OpenSession
from tests.support import traps
from tests.support.product import Product
from tests.support.servers import Server
from tests.support.vaults import APP_LOGIN

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])


@pytest.fixture
def hostile(server: Server, vault_db: str, connect: Connect) -> Iterator[list[psycopg.Connection]]:
    """The vault and the web database with everything planted in public and in a schema on every path."""
    web = str(connections["default"].settings_dict["NAME"])
    vault = str(connections["vault"].settings_dict["NAME"])
    opened = []
    for name in (vault, web):
        dba = connect(name)
        traps.spy(dba)
        dba.execute(f"GRANT CREATE ON SCHEMA public TO {traps.EVIL}")
        traps.plant_names(dba, "public")
        traps.plant_names(dba, traps.SCHEMA)
        dba.execute(f"ALTER DATABASE {name} SET search_path = {traps.PATH}")
        dba.execute(f"ALTER ROLE {APP_LOGIN} IN DATABASE {name} SET search_path = {traps.PATH}")
        opened.append(dba)
    connections.close_all()
    yield opened
    connections.close_all()
    for name, dba in zip((vault, web), opened, strict=True):
        dba.execute(f"ALTER DATABASE {name} RESET search_path")
        dba.execute(f"ALTER ROLE {APP_LOGIN} IN DATABASE {name} RESET search_path")
        dba.execute(f"DROP OWNED BY {traps.EVIL} CASCADE")
        dba.execute(f"DROP SCHEMA IF EXISTS {traps.SCHEMA} CASCADE")


def test_loop_pages_commands_doctor_alerts_and_installer_run_none_of_it(
    server: Server,
    vault_db: str,
    hostile: list[psycopg.Connection],
    session: OpenSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "request_sending", lambda alias, tasks=1: None)
    product = Product(server, vault_db, session)
    assert list(product.trouble()) == []
    call_command("lockmon_top", "--once", stdout=io.StringIO())
    call_command("migrate", verbosity=0)
    assert [traps.ran(dba) for dba in hostile] == [[], []]


def test_whoever_logs_in_and_searches_runs_none_of_it(
    hostile: list[psycopg.Connection], vault_db: str
) -> None:
    from tests.support.people import browser, person

    person("viewer")
    client = browser("dba")
    for path in (
        "/admin/auth/user/?q=view",
        "/admin/auth/user/?is_staff__exact=1",
        "/admin/auth/group/",
        "/admin/django_q/schedule/",
        "/admin/lockmon/lockactivity/?q=update&when=any",
        "/admin/lockmon/alertevent/",
    ):
        assert client.get(path, follow=True).status_code in (200, 403, 404), path
    client.logout()
    for password in ("wrong", "only-for-tests"):
        client.post("/admin/login/", {"username": "viewer", "password": password})
    assert client.get("/admin/").status_code == 200
    assert [traps.ran(dba) for dba in hostile] == [[], []]


def test_every_alias_looks_through_schemas_of_ours_alone(vault_db: str) -> None:
    paths = {}
    for alias in ("default", "vault"):
        with connections[alias].cursor() as cursor:
            cursor.execute("SHOW search_path")
            (paths[alias],) = cursor.fetchone()
    assert {alias: path.replace(" ", "") for alias, path in paths.items()} == {
        "default": f"{WEB_SCHEMA},pg_temp",
        "vault": "pg_catalog,pg_temp",
    }


@pytest.mark.parametrize(
    "kind", ["FUNCTION lock_monitoring.run_lock_monitoring(bytea)", "VIEW lock_engine.monitor_status"]
)
def test_the_loop_refuses_what_somebody_else_owns(vault_db: str, connect: Connect, kind: str) -> None:
    dba = connect(vault_db)
    traps.spy(dba)
    opened = open_connection("vault", "monitor", loop_options())
    opened.connection.close()
    dba.execute(f"ALTER {kind} OWNER TO {traps.EVIL}")
    with pytest.raises(CannotWatchError, match="somebody else owns what the loop calls"):
        open_connection("vault", "monitor", loop_options())


def test_the_doctor_names_who_may_create_where_the_pages_look(vault_db: str, connect: Connect) -> None:
    name = "search path of 'default'"

    def line() -> doctor.Finding:
        (found,) = [one for one in doctor.search_path("vault") if one.name == name]
        return found

    assert line().state == doctor.OK
    dba = connect(str(connections["default"].settings_dict["NAME"]))
    dba.execute(f"GRANT CREATE ON SCHEMA {WEB_SCHEMA} TO PUBLIC")
    try:
        assert (line().state, line().remedy) == (
            doctor.WARNING,
            f"REVOKE CREATE ON SCHEMA {WEB_SCHEMA} FROM PUBLIC;",
        )
    finally:
        dba.execute(line().remedy)
    assert line().state == doctor.OK


def test_tables_of_an_older_release_move_out_of_public(vault_db: str, connect: Connect) -> None:
    """Everything that people had there stays theirs; a second run finds nothing to do."""
    from tests.support.people import person

    person("viewer")
    dba = connect(str(connections["default"].settings_dict["NAME"]))

    def where() -> dict[str, int]:
        return dict(
            dba.execute(
                "SELECT schemaname, count(*) FROM pg_tables WHERE schemaname IN ('public', %s) GROUP BY 1",
                [WEB_SCHEMA],
            ).fetchall()
        )

    before = where()
    dba.execute(
        "DO $$ DECLARE t text; BEGIN FOR t IN"
        f" SELECT tablename FROM pg_tables WHERE schemaname = '{WEB_SCHEMA}' LOOP"
        f" EXECUTE format('ALTER TABLE {WEB_SCHEMA}.%I SET SCHEMA public', t); END LOOP; END $$"
    )
    assert where() == {"public": before[WEB_SCHEMA]}
    out = io.StringIO()
    call_command("migrate", stdout=out)
    assert f"{before[WEB_SCHEMA]} tables were moved from the schema public" in out.getvalue()
    assert where() == before
    assert dba.execute(f"SELECT count(*) FROM {WEB_SCHEMA}.auth_user").fetchone() == (1,)
    call_command("migrate", stdout=out, verbosity=0)
    assert where() == before


def test_a_schema_that_somebody_made_first_is_refused(vault_db: str, connect: Connect) -> None:
    dba = connect(str(connections["default"].settings_dict["NAME"]))
    planted_owner = "planted_owner"
    dba.execute(f"CREATE ROLE {planted_owner}; CREATE SCHEMA made_first AUTHORIZATION {planted_owner}")
    try:
        with pytest.raises(
            CommandError, match=f"made_first belongs to {planted_owner}.*ALTER SCHEMA made_first"
        ):
            web_schema.prepare("made_first", alone=False)
    finally:
        dba.execute(f"DROP SCHEMA made_first; DROP ROLE {planted_owner}")
