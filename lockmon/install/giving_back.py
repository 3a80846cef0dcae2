"""Giving a site back what it had before the install: its tables, empty, and what it owned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import sql

from lockmon.install import ownership
from lockmon.install.apply import Connection
from lockmon.text import read_any_name

_ENABLE: dict[str, LiteralString] = {"A": "ENABLE ALWAYS", "R": "ENABLE REPLICA", "O": "ENABLE"}


@dataclass(frozen=True)
class Owned:
    """A schema (without a name) or table that the install took over, and whose it was."""

    schema: str
    name: str | None
    owner: str

    @property
    def place(self) -> sql.Identifier:
        """Its name, quoted."""
        return sql.Identifier(self.schema) if self.name is None else sql.Identifier(self.schema, self.name)


def rows(connection: Connection, statement: LiteralString, parameters: Any = None) -> list[tuple[Any, ...]]:
    """All rows of a question to the catalogs, whatever names are in them."""
    cursor = connection.cursor()
    read_any_name(cursor)
    return cursor.execute(statement, parameters).fetchall()


def former_owners(connection: Connection) -> list[Owned]:
    """What the install took over from roles that are still there."""
    if rows(connection, "SELECT to_regclass('lock_engine.site_owner') IS NULL")[0][0]:
        return []
    found = rows(
        connection,
        """
        SELECT o.schema_name, CASE o.kind WHEN 'relation' THEN o.object_name END, o.owner_name
        FROM lock_engine.site_owner AS o JOIN pg_catalog.pg_roles AS r ON r.rolname = o.owner_name
        ORDER BY o.kind, o.schema_name, o.object_name
        """,
    )
    return [Owned(*row) for row in found]


def give_back(connection: Connection, owners: Sequence[Owned]) -> list[str]:
    """Let those that are still there belong to whom they belonged; a sentence for each."""
    told = []
    for one in owners:
        there = rows(
            connection,
            """
            SELECT CASE WHEN %(name)s::text IS NULL
                        THEN EXISTS (SELECT 1 FROM pg_catalog.pg_namespace AS n WHERE n.nspname = %(schema)s)
                        ELSE EXISTS (SELECT 1 FROM pg_catalog.pg_class AS c
                                     JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                                     WHERE n.nspname = %(schema)s AND c.relname = %(name)s) END
            """,
            {"schema": one.schema, "name": one.name},
        )[0][0]
        if there:
            what: LiteralString = "SCHEMA" if one.name is None else "TABLE"
            connection.execute(
                sql.SQL("ALTER {} {} OWNER TO {}").format(sql.SQL(what), one.place, sql.Identifier(one.owner))
            )
            full = one.schema if one.name is None else f"{one.schema}.{one.name}"
            told.append(f"{what.lower()} {full}: it belongs to {one.owner} again")
    return told


def restore(connection: Connection, table: str, indexes: Sequence[str]) -> str:
    """Give a site its table back: the contract's columns, no rows; returns what to tell.

    table: "schema.name". indexes: those of the product, which go, named likewise. A table that belongs to
    somebody else by now is left as it is.
    """
    place = sql.Identifier(*table.split("."))
    if owner := ownership.owner_of_others(connection, table):
        return f"table {table}: it belongs to {owner} and keeps its rows"
    # The site's triggers on it are for its own rows, and do not run as whoever removes the product.
    triggers = rows(
        connection,
        "SELECT t.tgname, t.tgenabled::text FROM pg_catalog.pg_trigger AS t"
        " WHERE t.tgrelid = %s::regclass AND NOT t.tgisinternal AND t.tgenabled <> 'D'",
        [table],
    )

    def switch(how: LiteralString, trigger: str) -> None:
        connection.execute(
            sql.SQL("ALTER TABLE {} {} TRIGGER {}").format(place, sql.SQL(how), sql.Identifier(trigger))
        )

    for name, _mode in triggers:
        switch("DISABLE", name)
    # Only the product's own tables refer to it, and those are dropped or emptied too.
    connection.execute(sql.SQL("DELETE FROM {}").format(place))
    for name, mode in triggers:
        switch(_ENABLE[mode], name)
    for (key,) in rows(
        connection,
        "SELECT k.conname FROM pg_catalog.pg_constraint AS k"
        " WHERE k.conrelid = %s::regclass AND k.contype = 'f' AND k.condeferrable AND NOT k.condeferred",
        [table],
    ):
        connection.execute(
            sql.SQL("ALTER TABLE {} ALTER CONSTRAINT {} NOT DEFERRABLE").format(place, sql.Identifier(key))
        )
    for (index,) in rows(
        connection,
        """
        SELECT i.indexrelid::regclass::text
        FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
        WHERE i.indrelid = %s::regclass AND 'lock_monitoring.' || c.relname = ANY(%s)
        """,
        [table, list(indexes)],
    ):
        connection.execute(sql.SQL("DROP INDEX {}").format(sql.SQL(index)))
    for (column,) in rows(
        connection,
        """
        SELECT a.attname
        FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = %(table)s::regclass AND NOT a.attisdropped AND a.attnum >= (
            SELECT s.attnum FROM pg_catalog.pg_attribute AS s
            WHERE s.attrelid = %(table)s::regclass AND s.attname = 'satellite_id' AND NOT s.attisdropped)
        """,
        {"table": table},
    ):
        connection.execute(sql.SQL("ALTER TABLE {} DROP COLUMN {}").format(place, sql.Identifier(column)))
    return f"table {table}: the site had it before; it is empty again"
