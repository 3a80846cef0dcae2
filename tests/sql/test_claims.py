"""Which tenant a session claims is one rule: in the vault's keys, on the stop page, in Python."""

from __future__ import annotations

from lockmon.views import words
from tests.conftest import Connect
from tests.support.claims import CLAIMS


def test_sql_and_python_read_the_same_claim(vault_db: str, connect: Connect) -> None:
    dba = connect(vault_db)
    for name, claim in CLAIMS.items():
        found = dba.execute("SELECT lock_engine.claimed_tenant(%s)", [name]).fetchone()
        assert found == (claim,), name
        assert words.tenant_claim(name) == claim, name


def test_whatever_says_a_sessions_tenant_asks_the_rule(vault_db: str, connect: Connect) -> None:
    dba = connect(vault_db)
    assert dba.execute("SELECT lock_engine.claimed_tenant(NULL)").fetchone() == (None,)
    assert words.tenant_claim(None) is None
    other = connect(vault_db)
    for name in CLAIMS:
        other.execute("SELECT set_config('application_name', %s, false)", [name])
        # as PostgreSQL shows it: what is not printable ASCII it writes otherwise
        (kept,) = dba.execute(
            "SELECT application_name FROM lock_catalog.sessions WHERE pid = %s", [other.info.backend_pid]
        ).fetchone() or ("",)
        claim = words.tenant_claim(kept)
        assert kept != name or claim == CLAIMS[name]
        facts = dba.execute(
            "SELECT lock_admin.session_facts(%s) ->> 'tenant_claim'", [other.info.backend_pid]
        ).fetchone()
        assert facts == (claim,), name
        dba.execute("DELETE FROM lock_engine.tenant_wanted")
        dba.execute("SELECT lock_engine.tenant_of(NULL, %s)", [kept])
        wanted = dba.execute("SELECT claim FROM lock_engine.tenant_wanted").fetchall()
        assert wanted == ([] if claim is None else [(f"t:{claim}",)]), name
