"""Kind, advice, severity, graph and plan are pure: what they need is given, and their text can stand in one
statement that a server without a vault answers. Live graph, given graph and that statement are compared for
real scenes, and the last two for readings made of those by chance.
"""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from lockmon.install.inline import InlineError, Inliner
from tests.conftest import Connect
from tests.sql.test_blocker_kinds import STATEMENTS
from tests.support import plans
from tests.support.moments import Scene, scene
from tests.support.readings import Reading, Rules, read
from tests.support.servers import Server
from tests.support.stored import Stored

ALIKE = 40
"""Readings made by chance of each scene."""


@pytest.fixture
def rules(server: Server, vault_db: str, connect: Connect) -> Rules:
    """The vault, and a database beside it that holds none, asked by a login with pg_monitor."""
    bare = server.create_database()
    server.execute(
        "DO $$ BEGIN IF to_regrole('only_monitor') IS NULL THEN"
        " CREATE ROLE only_monitor LOGIN; GRANT pg_monitor TO only_monitor; END IF; END $$"
    )
    return Rules(connect(vault_db), connect(bare, user="only_monitor"))


@contextmanager
def made(dsn: str, connect: Connect, seed: int) -> Iterator[Scene]:
    with scene(dsn, Stored(connect(dsn)), seed) as one:
        yield one


def without_time(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What two looks at a scene that stands still have in common; the severity may have risen meanwhile."""
    timed = {"blocked_seconds", "severity"}
    return [{key: value for key, value in node.items() if key not in timed} for node in nodes]


def all_agree(rules: Rules, reading: Reading) -> None:
    """The live graph is the given one, and that of the statement."""
    given = rules.graph(reading)
    assert given, "nobody waits"
    assert without_time(given) == without_time(reading.graph)
    assert rules.graph_anywhere(reading) == given
    told = json.dumps(given)
    assert rules.plan(told, reading.at)
    assert rules.plan_anywhere(told, reading.at) == rules.plan(told, reading.at)


def chance_agrees(rules: Rules, reading: Reading, chance: random.Random, number: int) -> None:
    """Of readings that could have been, vault and statement say the same."""
    kinds = set()
    for _ in range(number):
        other = reading.changed(chance)
        given = rules.graph(other)
        assert rules.graph_anywhere(other) == given
        told = json.dumps(given)
        assert rules.plan_anywhere(told, other.at) == rules.plan(told, other.at)
        kinds |= {node["kind"] for node in given}
    assert len(kinds) > 4, kinds


@pytest.mark.parametrize("seed", range(6))
def test_the_graph_is_the_same_live_given_and_without_a_vault(
    rules: Rules, vault_db: str, connect: Connect, seed: int
) -> None:
    with made(vault_db, connect, seed) as one:
        one.build(one.chance.randint(5, 40))
        reading = read(rules.vault)
        all_agree(rules, reading)
        chance_agrees(rules, reading, random.Random(seed), ALIKE)


def test_a_chain_longer_than_the_shortcut_for_forests_is_the_same(
    rules: Rules, vault_db: str, connect: Connect
) -> None:
    with made(vault_db, connect, 1) as one:
        for _ in range(12):
            one.chain(6)
        keys = [one.key() for _ in range(70)]
        one.root(f"SELECT pg_advisory_xact_lock({keys[0]})")
        for before, own in itertools.pairwise(keys):
            one.wait(f"SELECT pg_advisory_xact_lock({before})", f"SELECT pg_advisory_xact_lock({own})")
        reading = read(rules.vault)
        assert max(node["blocked_total"] for node in reading.graph) == 69
        all_agree(rules, reading)


@pytest.mark.parametrize("seed", range(60))
def test_the_plan_is_the_same_without_a_vault(rules: Rules, seed: int) -> None:
    chance = random.Random(seed)
    nodes = plans.as_json(plans.by_chance(chance, chance.randint(1, 60)))
    at, past = plans.AT, seed % 2 == 0
    assert rules.plan_anywhere(nodes, at, past) == rules.plan(nodes, at, past)


def test_every_statement_is_of_the_same_class_without_a_vault(rules: Rules) -> None:
    statement = Inliner(rules.vault).statement("SELECT lock_catalog.statement_class({})")
    asked = statement.replace("({})::text", "(%s)::text", 1).replace("%s", "\0").replace("%", "%%")
    for text, wanted in STATEMENTS:
        assert rules.bare.execute(asked.replace("\0", "%s"), [text]).fetchone() == (wanted,), text


def test_the_statements_read_no_table_and_ask_no_function_of_ours(rules: Rules) -> None:
    for statement, arguments in ((rules.graph_statement, 7), (rules.plan_statement, 3)):
        ours = re.compile(r"\b(?:lock_(?:catalog|engine|admin|log|monitoring)|monitoring|public)\.")
        assert ours.findall(re.sub(r"'(?:[^']|'')*'", "", statement)) == []
        rules.bare.execute(f"PREPARE asked AS {statement}")
        empty = ", ".join(["NULL"] * arguments)
        rows = rules.bare.execute(f"EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE asked ({empty})").fetchone()
        rules.bare.execute("DEALLOCATE asked")
        assert rows is not None
        plan = json.dumps(rows[0])
        assert '"Relation Name"' not in plan
        assert set(re.findall(r'"Function Name": "(\w+)"', plan)) <= {
            "json_to_recordset",
            "generate_series",
            "regexp_split_to_table",
            "unnest",
        }


def test_what_is_no_rule_is_refused_by_name(vault: psycopg.Connection[Any]) -> None:
    inliner = Inliner(vault)
    for query, why in (
        ("SELECT lock_catalog.readable('x')", "readable is more than constants and one RETURN"),
        ("SELECT lock_catalog.nothing()", "nothing is not there"),
        ("SELECT lock_catalog.statement_class()", "called without p_query"),
        ("SELECT lock_catalog.statement_class('a', 'b')", "too many"),
    ):
        with pytest.raises(InlineError, match=why):
            inliner.statement(query)
