"""What keeps tenants from being read is a line of the check page, and the statement in it mends it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest

from lockmon import doctor
from lockmon.doctor_vault import site_tables
from lockmon.install import install
from tests.conftest import Connect
from tests.support.aside import two_tenants
from tests.support.people import browser, use_app_login
from tests.support.planted import ON_TENANTS, OWNER, REFUSED, SPY, plant, ran, take_away
from tests.support.stored import Stored

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

POLICY = "a policy that its owner is under, too"
TENANTS = {"ACME", "BOLT", "SYSTEM"}


@pytest.fixture
def stored(vault_db: str, connect: Connect) -> Iterator[Stored]:
    """A vault beside tables of a platform's; the DBA's connection. Roles are as before afterwards."""
    use_app_login()
    two_tenants(vault_db)
    dba = connect(vault_db)
    dba.execute(SPY)
    dba.execute("DELETE FROM lock_engine.tenant_seen; DELETE FROM lock_engine.tenant_claim")
    yield Stored(dba)
    dba.execute("ALTER ROLE lock_site_reader NOBYPASSRLS")


def names(stored: Stored) -> set[str]:
    stored.connection.execute("SELECT lock_engine.ask_site(true)")
    return {row["tenant_bk"] for row in stored.rows("SELECT * FROM lock_engine.tenant_names()")}


def statements(finding: doctor.Finding) -> list[str]:
    """The lines that the remedy names, each with whom it is for."""
    return re.findall(r"([A-Z]+ [^;]*;)", finding.remedy)


def test_nothing_in_the_way_is_one_good_line(stored: Stored) -> None:
    (line,) = site_tables("vault")
    assert (line.state, line.remedy) == (doctor.OK, "")
    assert names(stored) == TENANTS


@pytest.mark.parametrize("choice", [0, 1])
def test_row_security_is_named_with_two_lines_each_of_which_mends_it(stored: Stored, choice: int) -> None:
    plant(stored.connection, POLICY)
    assert names(stored) == set()
    (line,) = site_tables("vault")
    assert (line.state, line.name) == (doctor.FAILURE, "auth.tenant_h")
    assert "auth.tenant_h has row security" in line.meaning and "tenant not known yet" in line.meaning
    assert f"its owner, {OWNER}" in line.remedy
    page = browser("viewer").get("/admin/monitor/check/").content.decode()
    assert "auth.tenant_h has row security" in page and "ALTER ROLE lock_site_reader BYPASSRLS;" in page

    said = statements(line)
    assert len(said) == 2
    if choice == 1:
        stored.connection.execute(f"SET ROLE {OWNER}")
    stored.connection.execute(said[choice])
    stored.connection.execute("RESET ROLE")
    assert [one.state for one in site_tables("vault")] == [doctor.OK]
    assert names(stored) == TENANTS
    assert ran(stored.connection) == (0, 0), "the policy's code runs for nobody of ours"


def test_what_is_not_read_is_named_with_its_owner(stored: Stored) -> None:
    for what in sorted(REFUSED):
        if stored.connection.info.server_version // 10000 < ON_TENANTS[what][0]:
            continue
        plant(stored.connection, what)
        (line,) = site_tables("vault")
        assert (line.state, line.name) == (doctor.FAILURE, "auth.tenant_h"), what
        assert OWNER in line.remedy and "tenant_hk, tenant_bk" in line.remedy, what
        take_away(stored.connection, what)
        assert [one.state for one in site_tables("vault")] == [doctor.OK], what
        assert names(stored) == TENANTS, what
        assert ran(stored.connection) == (0, 0), what


def test_a_right_that_was_taken_away_is_given_back_by_the_line(stored: Stored) -> None:
    for taken in (
        "REVOKE USAGE ON SCHEMA auth FROM lock_site_reader, PUBLIC",
        "REVOKE SELECT (user_bk) ON auth.user_h FROM lock_site_reader",
        "REVOKE SELECT (tenant_hk, tenant_bk) ON auth.tenant_h FROM lock_site_reader",
    ):
        stored.connection.execute(taken)
        found = list(site_tables("vault"))
        assert {line.state for line in found} == {doctor.FAILURE}, taken
        for statement in {one for line in found for one in statements(line)}:
            stored.connection.execute(statement)
        assert [one.state for one in site_tables("vault")] == [doctor.OK], taken
        assert names(stored) == TENANTS, taken


def test_tables_that_are_not_there_are_named(stored: Stored) -> None:
    dba = stored.connection
    dba.execute("ALTER TABLE auth.user_h RENAME TO users")
    (line,) = site_tables("vault")
    assert (line.name, line.state) == ("auth.user_h", doctor.FAILURE)
    assert "does not exist" in line.meaning and "user_bk, tenant_hk" in line.remedy


def test_the_install_says_it_at_its_end(stored: Stored, vault_db: str) -> None:
    plant(stored.connection, POLICY)
    told: list[str] = []
    install(vault_db, told.append, again=True)
    (sentence,) = [line for line in told if "row security" in line]
    assert "ALTER ROLE lock_site_reader BYPASSRLS;" in sentence
    with psycopg.connect(vault_db) as dba:
        dba.execute("ALTER ROLE lock_site_reader BYPASSRLS")
    told.clear()
    install(vault_db, told.append, again=True)
    assert not [line for line in told if "row security" in line]
