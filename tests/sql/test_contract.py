"""The published schema is the contract's: names, types, keys, indexes, functions, dashboards."""

from __future__ import annotations

import json
import re
from typing import Any

import psycopg
import pytest

from tests.conftest import Connect
from tests.support import sites

CONTRACT: dict[str, Any] = json.loads((sites.DATA / "contract.json").read_text(encoding="utf-8"))


@pytest.fixture
def vault(vault_db: str, connect: Connect) -> psycopg.Connection[Any]:
    """A connection of the DBA to a fresh vault."""
    return connect(vault_db)


def columns(connection: psycopg.Connection[Any], schema: str, table: str) -> list[dict[str, Any]]:
    """The columns of a table as the contract writes them."""
    rows = connection.execute(
        """
        SELECT column_name, data_type, character_maximum_length, is_nullable = 'YES', column_default
        FROM information_schema.columns WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position
        """,
        [schema, table],
    )
    return [
        {
            "column": name,
            "type": f"{kind}({length})" if length else kind,
            "nullable": nullable,
            "default": default,
        }
        for name, kind, length, nullable, default in rows
    ]


def test_there_are_exactly_these_tables(vault: psycopg.Connection[Any]) -> None:
    rows = vault.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'lock_monitoring'")
    assert {name for (name,) in rows} == set(CONTRACT["tables"])


@pytest.mark.parametrize("table", CONTRACT["tables"])
def test_a_tables_first_columns_are_the_contracts(vault: psycopg.Connection[Any], table: str) -> None:
    wanted = CONTRACT["tables"][table]["columns"]
    found = columns(vault, "lock_monitoring", table)
    assert found[: len(wanted)] == wanted
    for further in found[len(wanted) :]:
        assert further["nullable"] or further["column"] == "satellite_id", (
            "a site's own INSERT must stay valid"
        )


@pytest.mark.parametrize("table", CONTRACT["tables"])
def test_a_tables_keys_are_the_contracts(vault: psycopg.Connection[Any], table: str) -> None:
    rows = vault.execute(
        """
        SELECT k.contype::text,
               ARRAY(SELECT a.attname::text
                     FROM unnest(k.conkey) WITH ORDINALITY AS u (number, place)
                     JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.number
                     ORDER BY u.place),
               CASE WHEN k.contype = 'f' THEN k.confrelid::regclass::text || '.' || (
                    SELECT a.attname FROM pg_attribute AS a
                    WHERE a.attrelid = k.confrelid AND a.attnum = k.confkey[1]) END
        FROM pg_constraint AS k WHERE k.conrelid = %s::regclass
        """,
        [f"lock_monitoring.{table}"],
    ).fetchall()
    contract = CONTRACT["tables"][table]
    assert [names for kind, names, _to in rows if kind == "p"] == [contract["primary_key"]]
    assert [names for kind, names, _to in rows if kind == "u"] == contract["unique"]
    assert {names[0]: to for kind, names, to in rows if kind == "f"} == contract["foreign_keys"]


@pytest.mark.parametrize("index", CONTRACT["indexes"], ids=lambda index: str(index["name"]))
def test_an_index_is_the_contracts(vault: psycopg.Connection[Any], index: dict[str, str]) -> None:
    row = vault.execute(
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'lock_monitoring' AND indexname = %s",
        [index["name"]],
    ).fetchone()
    assert row is not None
    wanted = f"ON lock_monitoring.{index['table']} USING btree ({index['columns'].replace(' ASC', '')})"
    plain = re.sub(r"[()]|\s+", " ", row[0])
    assert re.sub(r"[()]|\s+", " ", wanted) in plain
    if index["where"]:
        condition = plain.split(" WHERE ")[1].split()
        assert condition == index["where"].split()


@pytest.mark.parametrize("function", CONTRACT["functions"], ids=lambda function: str(function["name"]))
def test_a_function_is_the_contracts(vault: psycopg.Connection[Any], function: dict[str, Any]) -> None:
    rows = vault.execute(
        """
        SELECT p.proargmodes::text[], p.proargnames, p.proallargtypes::regtype[]::text[],
               pg_get_function_arguments(p.oid), p.proretset
        FROM pg_proc AS p
        WHERE p.pronamespace = 'lock_monitoring'::regnamespace AND p.proname = %s
        """,
        [function["name"]],
    ).fetchall()
    assert len(rows) == 1
    modes, names, types, arguments, returns_set = rows[0]
    assert returns_set
    returned = [f"{name} {kind}" for mode, name, kind in zip(modes, names, types, strict=True) if mode == "t"]
    # Lengths in a result's type are not kept by PostgreSQL.
    wanted = [
        re.sub(r"\(.*\)", "", line).replace(" varchar", " character varying") for line in function["returns"]
    ]
    assert returned == wanted
    assert re.sub(r"::\w+", "", arguments) == ", ".join(function["arguments"])


def test_there_are_exactly_these_functions(vault: psycopg.Connection[Any]) -> None:
    rows = vault.execute(
        "SELECT routine_name FROM information_schema.routines WHERE routine_schema = 'lock_monitoring'"
    )
    assert sorted(name for (name,) in rows) == sorted(function["name"] for function in CONTRACT["functions"])


@pytest.mark.parametrize("view", CONTRACT["views"])
def test_a_dashboards_first_columns_are_the_contracts(vault: psycopg.Connection[Any], view: str) -> None:
    contract = CONTRACT["views"][view]
    found = [column["column"] for column in columns(vault, "lock_monitoring", view)]
    assert found[: len(contract["columns"])] == contract["columns"]
    assert set(contract["guide_also_reads"]) <= set(found)


@pytest.mark.parametrize("table", CONTRACT["alerting"]["tables"])
def test_the_alert_tables_are_the_contracts(vault: psycopg.Connection[Any], table: str) -> None:
    wanted = [line.replace(" NULL", "") for line in CONTRACT["alerting"]["tables"][table]]
    rows = vault.execute(
        "SELECT attname || ' ' || format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
        [f"monitoring.{table}"],
    )
    found = [
        line.replace("character varying", "varchar").replace("timestamp with time zone", "timestamptz")
        for (line,) in rows
    ]
    assert found[: len(wanted)] == wanted


@pytest.mark.parametrize("table", CONTRACT["platform"]["auth"])
def test_the_stand_ins_are_what_a_site_has(vault: psycopg.Connection[Any], table: str) -> None:
    assert columns(vault, "auth", table) == CONTRACT["platform"]["auth"][table]


def test_the_stand_in_functions_are_what_a_site_has(vault: psycopg.Connection[Any]) -> None:
    row = vault.execute(
        "SELECT util.hash_binary('SYSTEM') = sha256('SYSTEM'), util.current_load_date() = now(), "
        "pg_typeof(util.get_record_source())::text"
    ).fetchone()
    assert row == (True, True, "character varying")


def test_every_hub_has_at_most_one_open_row(vault: psycopg.Connection[Any]) -> None:
    rows = vault.execute(
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'lock_monitoring' AND indexname LIKE 'uq%open'"
    ).fetchall()
    assert len(rows) == 4
    assert all("UNIQUE" in line and "WHERE (load_end_date IS NULL)" in line for (line,) in rows)
