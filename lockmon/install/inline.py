"""A statement that needs nothing of the vault, made of the vault's own rules.

The rules (kind, advice, severity, graph, plan) are functions that read no table: arrays in, rows or one value
out. Each is written so that its text can stand where it is called:

* LANGUAGE sql with one query, or LANGUAGE plpgsql with constants and one RETURN or RETURN QUERY;
* arguments and constants have names of their own (p_..., v_...);
* an array of a view's rows is read by `unnest(p_...)` alone. In the statement it is json: the type does not
  exist on a server without a vault.

So a server without a vault can be asked in one statement that the same text answers. It has to be sent with
`search_path` set to `pg_catalog`, as it names functions and operators without a schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

_BLOCK = re.compile(
    r"(?:#variable_conflict use_column\s*)?(?:DECLARE\n(?P<declared>.*?)\n)?BEGIN\n"
    r"(?:\s*--[^\n]*\n)*\s*RETURN\s+(?:QUERY\s+)?(?P<body>.*);\s*END",
    re.DOTALL,
)
SCHEMAS = ("lock_catalog", "lock_engine", "lock_admin")
_TOKEN = re.compile(
    r"""(?P<skip>--[^\n]*|/\*.*?\*/|[Ee]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|"(?:[^"]|"")*")"""
    r"|(?P<call>\b(?:" + "|".join(SCHEMAS) + r")\.\w+\s*\()"
    r"|(?P<unnest>\bunnest\((?P<array>p_\w+)\)\s+(?:AS\s+)?(?P<alias>\w+))"
    r"|(?P<word>\w+)|(?P<other>[^\w\s])",
    re.DOTALL,
)
_FUNCTION = """
SELECT p.prosrc AS source, l.lanname AS language, pg_get_function_result(p.oid) AS type,
       p.proretset OR p.prorettype = 'record'::regtype AS is_table,
       ARRAY(SELECT a.attname::text FROM pg_type AS e JOIN pg_attribute AS a ON a.attrelid = e.typrelid
              WHERE e.oid = p.prorettype AND a.attnum > 0 ORDER BY a.attnum) AS row_columns,
       ARRAY(SELECT to_jsonb(x)
               FROM (SELECT p.proargnames[t.place] AS name, coalesce(p.proargmodes[t.place], 'i') AS mode,
                            format_type(t.type, NULL) AS type,
                            pg_get_function_arg_default(p.oid, t.place::integer) AS "default",
                            (SELECT string_agg(format('%%I %%s', a.attname, format_type(a.atttypid, NULL)),
                                               ', ' ORDER BY a.attnum)
                               FROM pg_type AS e JOIN pg_attribute AS a ON a.attrelid = e.typrelid
                              WHERE e.typarray = t.type AND e.typtype = 'c' AND a.attnum > 0) AS columns
                       FROM unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]))
                            WITH ORDINALITY AS t (type, place) ORDER BY t.place) AS x) AS arguments
  FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
 WHERE p.pronamespace = to_regnamespace(%s) AND p.proname = %s
"""


class InlineError(Exception):
    """A function's text cannot stand where it is called; the message says which and why."""


@dataclass(frozen=True)
class Argument:
    """One argument of a rule. columns: of an array of a view's rows, its columns with their types."""

    name: str
    type: str
    columns: str | None
    default: str | None


@dataclass(frozen=True)
class Rule:
    """A function of the vault, read from its catalog."""

    name: str
    arguments: tuple[Argument, ...]
    is_table: bool
    results: tuple[str, ...]
    type: str
    constants: tuple[tuple[str, str, str], ...]
    body: str


def _parts(text: str, separator: str) -> list[str]:
    """The parts of a text between separators that stand in no parenthesis, string or comment."""
    found, begun, depth = [], 0, 0
    for token in _TOKEN.finditer(text):
        other = token["other"]
        if other in ("(", "[") or token["call"]:
            depth += 1
        elif other in (")", "]"):
            depth -= 1
        elif other == separator and depth == 0:
            found.append(text[begun : token.start()])
            begun = token.end()
    return [*found, text[begun:]]


def _closing(text: str, begun: int) -> int:
    """The place of the parenthesis that closes the one before `begun`."""
    depth = 1
    for token in _TOKEN.finditer(text, begun):
        if token["other"] == "(" or token["call"]:
            depth += 1
        elif token["other"] == ")":
            depth -= 1
            if depth == 0:
                return token.start()
    raise ValueError("a parenthesis is not closed")


def _constants(declared: str, name: str) -> Iterator[tuple[str, str, str]]:
    for part in _parts(declared, ";"):
        told = re.sub(r"^\s*--[^\n]*$", "", part, flags=re.MULTILINE).strip()
        if told:
            found = re.fullmatch(r"(\w+)\s+constant\s+([\w\[\]. ]+?)\s*:=\s*(.+)", told, re.DOTALL)
            if found is None:
                raise InlineError(f"{name} declares what is no constant: {told.splitlines()[0]}")
            yield found[1], found[2], found[3]


def _read(connection: psycopg.Connection[Any], name: str) -> Rule:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_FUNCTION, name.split(".")).fetchall()
    if len(rows) != 1:
        raise InlineError(f"{name} is {'not there' if not rows else 'more than one function'}")
    (row,) = rows
    arguments = row["arguments"]
    given = tuple(
        Argument(one["name"], one["type"], one["columns"], one["default"])
        for one in arguments
        if one["mode"] == "i"
    )
    results = tuple(one["name"] for one in arguments if one["mode"] in "to") or tuple(row["row_columns"])
    body = row["source"].strip().removesuffix(";")
    constants: tuple[tuple[str, str, str], ...] = ()
    if row["language"] == "plpgsql":
        found = _BLOCK.fullmatch(row["source"].strip())
        if found is None or len(_parts(found["body"], ";")) > 1:
            raise InlineError(f"{name} is more than constants and one RETURN")
        body, constants = found["body"], tuple(_constants(found["declared"] or "", name))
    elif row["language"] != "sql":
        raise InlineError(f"{name} is written in {row['language']}")
    return Rule(name, given, row["is_table"], results, row["type"], constants, body)


class Inliner:
    """Puts the rules of one deployed vault in the place of their calls."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._rules: dict[str, Rule] = {}

    def statement(self, query: str) -> str:
        """Return the query with every call of a rule replaced by the rule's text.

        Arguments that are arrays of a view's rows are to be given as json. Raises InlineError for a function
        of the vault that is not written as a rule.
        """
        return self._replaced(query, {})

    def _rule(self, name: str) -> Rule:
        if name not in self._rules:
            self._rules[name] = _read(self._connection, name)
        return self._rules[name]

    def _replaced(self, text: str, arrays: dict[str, str]) -> str:
        found, place = [], 0
        for token in _TOKEN.finditer(text):
            if token.start() < place:
                continue
            if (token["skip"] or "").startswith(("--", "/*")):
                # a comment's line end stays
                found.append(text[place : token.start()])
                place = token.end()
            elif token["unnest"] and token["array"] in arrays:
                found.append(text[place : token.start()])
                found.append(
                    f"json_to_recordset({token['array']}) AS {token['alias']} ({arrays[token['array']]})"
                )
                place = token.end()
            elif token["call"]:
                end = _closing(text, token.end())
                rule = self._rule(token["call"].rstrip("( \n"))
                before = text[place : token.start()]
                given = [self._replaced(part, arrays) for part in _parts(text[token.end() : end], ",")]
                found += [before, self._inlined(rule, given, re.search(r"\bLATERAL\s*$", before) is None)]
                place = end + 1
        return "".join([*found, text[place:]])

    def _inlined(self, rule: Rule, given: list[str], lateral: bool) -> str:
        values = {argument.name: argument.default for argument in rule.arguments}
        for number, part in enumerate(part for part in given if part.strip()):
            named = re.match(r"\s*(p_\w+)\s*=>\s*(.*)", part, re.DOTALL)
            if named is None and number >= len(rule.arguments):
                raise InlineError(f"{rule.name} is called with too many arguments")
            name, value = (named[1], named[2]) if named else (rule.arguments[number].name, part)
            values[name] = value
        missing = [name for name, value in values.items() if value is None]
        if missing:
            raise InlineError(f"{rule.name} is called without {', '.join(missing)}")
        arrays = {argument.name: argument.columns for argument in rule.arguments if argument.columns}
        arguments = ", ".join(
            f"({values[argument.name]})::{'json' if argument.columns else argument.type} AS {argument.name}"
            for argument in rule.arguments
        )
        source = f"(SELECT {arguments}) AS given_arguments"
        for name, of, value in rule.constants:
            told = f"({self._replaced(value, arrays)})::{of} AS {name}"
            # OFFSET: asked once
            source += f" CROSS JOIN LATERAL (SELECT {told} OFFSET 0) AS of_{name}"
        body = self._replaced(rule.body, arrays)
        if rule.is_table:
            columns = ", ".join(f'"{column}"' for column in rule.results)
            table = f"{source} CROSS JOIN LATERAL ({body}) AS answer ({columns})"
            return f"{'LATERAL ' if lateral else ''}(SELECT answer.* FROM {table})"  # noqa: S608 - the vault's text
        inner = f"({body})" if re.match(r"\s*(?:WITH|SELECT)\b", body) else f"({body})::{rule.type}"
        return f"(SELECT {inner} FROM {source})"  # noqa: S608 - the vault's text
