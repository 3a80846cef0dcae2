"""Everything that others can make, planted on all that ours reaches; everything of ours called over it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command, get_commands
from django.db import connections
from django.test import Client
from django.urls import get_resolver

from lockmon.alerts import delivery
from lockmon.models.api_token import ApiToken
from tests.conftest import Connect, OpenSession
from tests.support import minefield, planted, product, sites, traps
from tests.support.addresses import address, routes, rows_of_each_kind
from tests.support.loops import rows
from tests.support.people import browser
from tests.support.servers import Server
from tests.support.vaults import APP_LOGIN

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "vault"]),
    pytest.mark.slow,
]

# What Product does not call, with what makes it do something
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("lockmon_alerts", "list"),
    ("lockmon_cleanup", "--days", "1"),
    ("lockmon_report",),
    ("lockmon_rescue",),
    ("lockmon_resolve", "--seconds", "0"),
    ("lockmon_resolve", "--seconds", "600", "--execute", "--reason", "a test of the minefield"),
    ("lockmon_terminate", "999999", "--reason", "a test of the minefield", "--yes"),
    ("lockmon_token", "owner", "minefield"),
    ("lockmon_top", "--once"),
    ("lockmon_unlock", "owner"),
    ("lockmon_adopt", "--reason", "a test of the minefield"),
    ("migrate",),
)
ELSEWHERE = {
    "lockmon_demo": "makes a database of its own",
    "lockmon_monitor": "the loop, which Product runs",
    "lockmon_read_log": "takes a file",
    "lockmon_deploy": "the installer, which Product runs",
    "lockmon_uninstall": "tests/sql/test_planted.py",
    "lockmon_first_user": "asks Django's own database alone",
    "lockmon_move_users": "asks Django's own databases alone",
}
# the check page says what at the site's tables is not read over, and why
SAID = ("doctor: tenants auth.tenant_h:", "doctor: tenants auth.user_h:")
CALLS = """
    SELECT format('%s %s(%s)', CASE p.prokind WHEN 'p' THEN 'CALL' ELSE 'SELECT * FROM' END,
                  p.oid::regproc, array_to_string(ARRAY(
               SELECT format('%s::%s', coalesce(g.given, 'NULL'), format_type(a.type, NULL))
                 FROM unnest(p.proargtypes) WITH ORDINALITY AS a (type, place)
                 LEFT JOIN (VALUES ('bytea', '''\\xac3e'''), ('integer', '600'), ('bigint', '1'),
                                   ('boolean', 'true'), ('text', '''x'''), ('text[]', '''{x}'''),
                                   ('timestamp with time zone', 'now()'), ('jsonb', '''{}'''),
                                   ('interval', '''1 hour'''), ('numeric', '1'), ('name', '''x'''),
                                   ('integer[]', '''{1}'''), ('bytea[]', '''{}''')) AS g (type, given)
                   ON g.type = format_type(a.type, NULL)
                ORDER BY a.place), ', ')), p.prokind = 'p', has_function_privilege(p.oid, 'EXECUTE')
      FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
     WHERE n.nspname ~ '^(lock_(monitoring|catalog|engine|admin|log)|monitoring)$'
       AND p.prokind IN ('f', 'p') AND p.prorettype <> 'trigger'::regtype
     ORDER BY 1
"""
VIEWS = """
    SELECT c.oid::regclass::text, has_table_privilege(c.oid, 'SELECT')
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE n.nspname ~ '^(lock_(monitoring|catalog|engine|admin|log)|monitoring)$'
       AND c.relkind IN ('v', 'r', 'p')
     ORDER BY 1
"""


class Field:
    """A vault and a web database full of what others planted."""

    def __init__(self, server: Server, dsn: str, connect: Connect) -> None:
        self.server, self.dsn = server, dsn
        self.web = str(connections["default"].settings_dict["NAME"])
        self.vault = str(connections["vault"].settings_dict["NAME"])
        self.keys = rows_of_each_kind(dsn)
        _row, self.token = ApiToken.make(user=User.objects.get(username="owner"), name="for the pages")
        self.site = connect(dsn)
        self.site.execute("SET search_path = pg_catalog; SET constraint_exclusion = partition")
        self.site.execute(planted.SPY)
        self.opened: list[psycopg.Connection[Any]] = []
        self.owners: list[str] = []
        self.things = 0
        for name in (self.vault, self.web):
            dba = connect(name)
            dba.execute("SET search_path = pg_catalog")
            row = dba.execute(
                "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'public'"
            ).fetchone()
            assert row is not None
            self.owners.append(row[0])
            self.opened.append(dba)

    def lay(self) -> None:
        """Plant what has a name of ours or of PostgreSQL's, and let everybody look there first."""
        for name, dba in zip((self.vault, self.web), self.opened, strict=True):
            traps.spy(dba)
            dba.execute(f"GRANT CREATE ON SCHEMA public TO {traps.EVIL}; SET ROLE {traps.EVIL}")
            # the one stands before the other in everybody's path
            self.things += minefield.plant_names(dba, traps.SCHEMA if name == self.vault else "public")
            dba.execute("RESET ROLE")
            minefield.give_database(dba, name)
            dba.execute(f"ALTER ROLE {APP_LOGIN} IN DATABASE {name} SET search_path = {traps.PATH}")
        self.forget()
        laid = self.opened[0].execute(minefield.LAID, {"schema": traps.SCHEMA}).fetchall()
        assert minefield.reached() - {str(row[0]) for row in laid} == set()
        connections.close_all()

    def leave(self) -> None:
        """Leave the web database as it was: other tests have it, too."""
        connections.close_all()
        for name, dba, owner in zip((self.vault, self.web), self.opened, self.owners, strict=True):
            dba.execute(
                f"ALTER DATABASE {name} OWNER TO postgres; ALTER SCHEMA public OWNER TO {owner};"
                f"ALTER DATABASE {name} RESET search_path; ALTER DATABASE {name} RESET constraint_exclusion;"
                f"ALTER ROLE {APP_LOGIN} IN DATABASE {name} RESET search_path"
            )
        # the vault goes as a whole
        minefield.clear(self.opened[1])

    def plant(self, kinds: list[str]) -> None:
        """Plant these kinds on both of the site's tables."""
        for kind in kinds:
            for table in ("auth.tenant_h", "auth.user_h"):
                if table == "auth.tenant_h" or kind not in planted.OF_TENANTS:
                    planted.plant(self.site, kind, table, self.things % 50)
                    self.things += 1

    def forget(self) -> None:
        """What ran until now was the test's own doing."""
        for dba in self.opened:
            dba.execute(f"TRUNCATE {traps.SCHEMA}.log; ALTER SEQUENCE {traps.SCHEMA}.ran RESTART")

    def ran(self) -> list[tuple[str, str]]:
        """What ran with another's rights, or in a session of ours."""
        found = [one for dba in self.opened for one in traps.ran(dba)]
        times, as_another = planted.ran(self.site)
        return found + [("the site's", f"{times} times, {as_another} with other rights")] * bool(times)


@pytest.fixture
def field(server: Server, vault_db: str, connect: Connect) -> Iterator[Field]:
    """The field, without what is on the site's tables."""
    made = Field(server, vault_db, connect)
    try:
        made.lay()
        yield made
    finally:
        made.leave()


def call_everything(field: Field, client: Client) -> None:
    """Every address, and every command that Product does not call."""
    for route in dict.fromkeys(routes(get_resolver())):
        if "logout" not in route:
            path = address(route, field.keys)
            answer = client.get(path, headers={"Authorization": f"Bearer {field.token}"})
            # nobody watches once the loop has ended
            assert answer.status_code < 500 or path == "/readyz", path
            answer.close()
    for name, *arguments in COMMANDS:
        # it says with an exit code or a sentence what it has found
        with contextlib.suppress(SystemExit, CommandError):
            call_command(name, *arguments, stdout=io.StringIO(), stderr=io.StringIO())
    rows(field.dsn + " options='-c search_path=pg_catalog'", "CALL lock_engine.clean_up(1)")


def call_as_himself(field: Field, connect: Connect) -> None:
    """Whoever plants is let call ours, and calls each, in a session with things of all our names in front."""
    dba = field.opened[0]
    dba.execute(
        f"GRANT lock_monitoring_role, lock_admin_role TO {traps.EVIL};"
        f"GRANT TEMP ON DATABASE {field.vault} TO PUBLIC"
    )
    try:
        caller = connect(field.dsn, traps.EVIL)
        caller.execute("SET search_path = pg_catalog")
        calls = caller.execute(CALLS).fetchall()
        views = caller.execute(VIEWS).fetchall()
        assert minefield.plant_names(caller, "pg_temp") > 1000
        field.forget()
        done = 0
        caller.execute(f"SET search_path = pg_temp, {traps.PATH}; SET statement_timeout = '5s'")
        for statement, procedure, may in calls:
            done += _did(caller, statement, alone=procedure) and may
        for view, may in views:
            done += _did(caller, f"SELECT * FROM {view} LIMIT 3", alone=False) and may
        caller.close()
        assert len(calls) + len(views) > 250 and done > 150
    finally:
        dba.execute(f"REVOKE lock_monitoring_role, lock_admin_role FROM {traps.EVIL}")


def test_nothing_planted_runs_with_anothers_rights(
    field: Field,
    session: OpenSession,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    """The figure: planted objects run with another's rights: 0."""
    monkeypatch.setattr(delivery, "request_sending", lambda alias, tasks=1: None)
    # this test can fail: whoever looks through these schemas runs what is there
    other = connect(field.vault)
    other.execute("SELECT 'x'::text || 'y'::text, count(*) FROM pg_class")
    assert {what for _who, what in field.ran()} >= {"relation pg_class", "operator ||"}
    field.forget()

    call_as_himself(field, connect)
    assert field.ran() == []

    client = browser("superuser")
    ours = product.Product(field.server, field.dsn, session, client)
    kinds = [kind for kind, (since, *_how) in planted.ON_TENANTS.items() if since <= field.server.version]
    kinds = [kind for kind in kinds if kind not in planted.APART]
    late = {kind for kind in kinds if kind in planted.REFUSED or "policy" in kind}
    # first what does not keep the tables from being read: beside the others nobody would meet it
    field.plant([kind for kind in kinds if kind not in late])
    assert list(ours.trouble()) == []
    call_everything(field, client)
    assert field.ran() == []
    field.plant([kind for kind in kinds if kind in late])
    trouble = list(ours.trouble())
    assert [one for one in trouble if not one.startswith(SAID)] == []
    assert [one for one in trouble if one.startswith(SAID)], "the check page names what is there"
    assert field.ran() == []
    record_property("planted", field.things)
    assert field.things > 3000


@pytest.mark.long
@pytest.mark.parametrize("kind", planted.ON_TENANTS)
def test_nothing_planted_alone_runs_with_anothers_rights(
    field: Field, session: OpenSession, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """One kind by itself: nothing else keeps the tables from being read."""
    if field.server.version < planted.ON_TENANTS[kind][0]:
        pytest.skip(f"there are no such things before {planted.ON_TENANTS[kind][0]}")
    monkeypatch.setattr(delivery, "request_sending", lambda alias, tasks=1: None)
    field.plant([kind])
    client = browser("superuser")
    trouble = product.Product(field.server, field.dsn, session, client).trouble()
    assert [one for one in trouble if not one.startswith(SAID)] == []
    call_everything(field, client)
    assert field.ran() == []


def _did(caller: psycopg.Connection[Any], statement: str, *, alone: bool) -> bool:
    """Whether a statement was let in; what it then says about its arguments is all the same."""
    try:
        if alone:
            caller.execute(statement)
        else:
            with caller.transaction(force_rollback=True):
                caller.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        return False
    except psycopg.Error:
        pass
    return True


def test_every_kind_that_can_be_made_is_planted_or_left_out_with_its_reason(
    server: Server, connect: Connect
) -> None:
    told = sites.psql(server, "postgres", "-c", r"\h *")
    known = minefield.kinds_known(told.stdout)
    assert len(known) > 30 and known <= set(minefield.KINDS), known - set(minefield.KINDS)
    made = server.create_database()
    dba = connect(made)
    traps.spy(dba)
    minefield.give_database(dba, made)
    dba.execute(f"SET search_path = pg_catalog; SET ROLE {traps.EVIL}")
    dba.execute(
        f"CREATE FUNCTION {traps.SCHEMA}.on_event() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'"
    )
    for kind, statement in minefield.REFUSED_TO_OTHERS.items():
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.SyntaxError)) as caught:
            dba.execute(statement)
        assert isinstance(caught.value, psycopg.errors.InsufficientPrivilege), kind
    left_out = {kind for kind, why in minefield.KINDS.items() if why == minefield.SUPERUSER}
    assert left_out <= set(minefield.REFUSED_TO_OTHERS)


def test_every_command_is_called_or_left_out_with_its_reason() -> None:
    ours = {name for name, app in get_commands().items() if name.startswith("lockmon_")}
    called = {name for name, *_rest in (*COMMANDS, *product.COMMANDS)}
    assert ours == (called | set(ELSEWHERE)) - {"migrate"}
