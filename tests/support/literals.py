"""One table of cases for hide_literals in both languages, and texts in which every secret must go."""

from __future__ import annotations

import random

SHOWN = [
    # statement, and what is shown of it (blanks folded)
    ("SELECT 1", "SELECT ?"),
    ("SELECT * FROM t WHERE a = 'secret' AND b = 42", "SELECT * FROM t WHERE a = ? AND b = ?"),
    ("SELECT 'it''s', E'a\\'b', 3.5e-7, .5", "SELECT ?, ?, ?, ?"),
    ("UPDATE t SET n = -5 WHERE id IN (1,2)", "UPDATE t SET n = ? WHERE id IN (?,?)"),
    ("UPDATE t SET a = a - 7, b = c-8", "UPDATE t SET a = a - ?, b = c-?"),
    # names stay, whatever digits they have
    ("SELECT $1, $22 FROM order2024 o", "SELECT $1, $22 FROM order2024 o"),
    ("SELECT t1.c2 FROM s3.t1", "SELECT t1.c2 FROM s3.t1"),
    ('SELECT "it\'s a", x FROM "T_2"', 'SELECT "it\'s a", x FROM "T_2"'),
    ('SELECT "a 2024 -- b /* c", "d""e"', 'SELECT "a 2024 -- b /* c", "d""e"'),
    ('SELECT "a""b"\'x\'"c"', 'SELECT "a""b"?"c"'),
    ("SELECT tab$le FROM a_1", "SELECT tab$le FROM a_1"),
    # numbers in every spelling
    ("SELECT 4111_1111_1111_1111, 1_0.5e1_0", "SELECT ?, ?"),
    ("SELECT 0x1F, 0XFF_FF, 0o7777, 0O1_7, 0b101, 0B1_0", "SELECT ?, ?, ?, ?, ?, ?"),
    ("SELECT 1e10, 1E+10, 2.e-3, 1., .5e5", "SELECT ?, ?, ?, ?, ?"),
    ("SELECT a[1:22], t.5, 1..10", "SELECT a[?:?], t.?, ?"),
    ("SELECT 123abc, 4111-11, 10.0.0.1", "SELECT ?, ?-?, ?"),
    ("SELECT $4111111111111111", "SELECT ?"),
    # strings in every spelling
    ("SELECT x'1F', B'01', U&'d\\0061t' UESCAPE '!', N'n'", "SELECT x?, B?, U&? UESCAPE ?, N?"),
    ("SELECT 'a'\n'b', ''''", "SELECT ? ?, ?"),
    ("SELECT E'\\\\', 'a' , e'''', E'\\''", "SELECT ?, ? , ?, ?"),
    ("SELECT a LIKE 'x%' ESCAPE '\\' AND b = 'c'", "SELECT a LIKE ? ? AND b = ?"),
    ("SELECT a LIKE b ESCAPE '\\'' AND b = 'jane'", "SELECT a LIKE b ESCAPE ?"),
    # \' ends a string or not, by standard_conforming_strings: all that follows goes
    ("SELECT 'it\\'s', x FROM y", "SELECT ?"),
    ("SELECT 'C:\\\\', x", "SELECT ?, x"),
    ("SELECT $$se'cret$$, $tag$all of it$tag$", "SELECT ?, ?"),
    ("SELECT $$a$b$$, c", "SELECT ?, c"),
    ("DO $é$ BEGIN END $é$", "DO ?"),
    # cut anywhere
    ("SELECT 'cut in the mid", "SELECT ?"),
    ("SELECT 'cut at a pair''", "SELECT ?"),
    ("SELECT E'cut at a backslash\\", "SELECT ?"),
    ("SELECT $$cut in the mid", "SELECT ?"),
    ("SELECT $$cut at the end$", "SELECT ?"),
    ("SELECT $fun$cut in the mid", "SELECT ?"),
    ('SELECT "cut in a name', "SELECT ?"),
    ("SELECT 1 /* cut", "SELECT ?"),
    ("SELECT 1 /* cut *", "SELECT ?"),
    ("SELECT 1 /* a /* b */ cut", "SELECT ?"),
    ("SELECT 1 -- cut", "SELECT ?"),
    # comments
    ("SELECT a -- user jane\n, b", "SELECT a , b"),
    ("SELECT /* ' */ 'jane', b", "SELECT ?, b"),
    ("SELECT /* nested /* ' */ jane */ b", "SELECT b"),
    ("SELECT /* 1 /* 2 /* 3 /* 4 */ */ */ jane */ b", "SELECT b"),
    ("SELECT a /* 1 /* 2 /* 3 /* 4 /* 5 */ */ */ */ jane */ b", "SELECT a"),
    ("SELECT a/**/b/***/c/*/ jane */d/* x **/", "SELECT a b c d"),
    ("SELECT 1 //* x */ 2", "SELECT ? / ?"),
    # a carriage return ends a line, too
    ("SELECT a -- it's\r, 'jane', b", "SELECT a , ?, b"),
    ("SELECT a -- it's\r, '\njane', b", "SELECT a , ?, b"),
    ("SELECT a -- x\r\n, b", "SELECT a , b"),
    ("SELECT '/*', a, '*/'", "SELECT ?, a, ?"),
    # values that are no constants
    ("SET myapp.token TO abc; SELECT a", "SET myapp.token TO ?; SELECT a"),
    ("set session a.b = c, d; select e", "set session a.b = ?; select e"),
    ("SET LOCAL x=y", "SET LOCAL x=?"),
    ('/* x */ SET "my.x" TO "a;b"; SELECT c', 'SET "my.x" TO ?; SELECT c'),
    ("SET TIME ZONE jane", "SET TIME ZONE ?"),
    # blanks that PostgreSQL does without, or allows
    ("SET myapp . token TO abc", "SET myapp . token TO ?"),
    ("SET myapp /* x */ . /* y */ token = abc", "SET myapp . token = ?"),
    ('SET"my.x"TO abc; SELECT c', 'SET"my.x"TO ?; SELECT c'),
    ('SET LOCAL"x"=abc', 'SET LOCAL"x"=?'),
    ("SET U&\"!0061\" UESCAPE '!' TO abc", 'SET U&"!0061" UESCAPE ? TO ?'),
    ('ALTER ROLE a SET"b"TO c', 'ALTER ROLE a SET"b"TO ?'),
    ('ALTER ROLE a SET"b" . c=d', 'ALTER ROLE a SET"b" . c=?'),
    ("ALTER DATABASE a SET b . c TO d", "ALTER DATABASE a SET b . c TO ?"),
    ("UPDATE t SET a . b = c", "UPDATE t SET a . b = c"),
    ("BEGIN; SET LOCAL jwt = abc; COMMIT", "BEGIN; SET LOCAL jwt = ?; COMMIT"),
    ("UPDATE t SET a = b, c = d FROM e", "UPDATE t SET a = b, c = d FROM e"),
    ("SET ROLE jane", "SET ROLE jane"),
    ("SELECT set_config('a.b', 'token', false)", "SELECT set_config(?, ?, false)"),
    ("ALTER ROLE a SET b TO c", "ALTER ROLE a SET b TO ?"),
    ("ALTER DATABASE a SET b = c", "ALTER DATABASE a SET b = ?"),
    ("ALTER SYSTEM SET primary_conninfo = 'x'", "ALTER SYSTEM SET primary_conninfo = ?"),
    ("ALTER ROLE a WITH PASSWORD 'b' VALID UNTIL 'c'", "ALTER ROLE a WITH PASSWORD ?"),
    ("CREATE USER a ENCRYPTED PASSWORD hunter2", "CREATE USER a ENCRYPTED PASSWORD ?"),
    ("CREATE USER a IDENTIFIED BY hunter2; SELECT b", "CREATE USER a IDENTIFIED BY ?; SELECT b"),
    ("SELECT password FROM users", "SELECT password FROM users"),
    ("CREATE TABLE t (password text)", "CREATE TABLE t (password text)"),
    (
        "CREATE USER MAPPING FOR a SERVER b OPTIONS (user 'c', password 'd')",
        "CREATE USER MAPPING FOR a SERVER b OPTIONS (?)",
    ),
    (
        "CREATE SUBSCRIPTION s CONNECTION 'host=h password=p' PUBLICATION q",
        "CREATE SUBSCRIPTION s CONNECTION ?",
    ),
    ("COPY t FROM PROGRAM 'curl -u a:b'", "COPY t FROM PROGRAM ?"),
    ("COPY t FROM '/tmp/x' WITH (FORMAT csv)", "COPY t FROM ? WITH (FORMAT csv)"),
    # a script in one piece: what follows is data
    ("COPY t FROM STDIN; jane\t1", "COPY t FROM STDIN; ?"),
    ("COPY t (a) FROM stdin WITH (FORMAT csv);\njane,2\n\\.\n", "COPY t (a) FROM stdin WITH (FORMAT csv); ?"),
    ("COPY t FROM STDIN;", "COPY t FROM STDIN;"),
    ("COPY t TO STDOUT; SELECT a", "COPY t TO STDOUT; SELECT a"),
    ("PREPARE p (text) AS SELECT 'jane', $1", "PREPARE p (text) AS SELECT ?, $1"),
    ("EXECUTE p ('jane', 4111)", "EXECUTE p (?, ?)"),
    ("NOTIFY a, 'jane'", "NOTIFY a, ?"),
]

NAME = "jane.doe@example.com"
HIDDEN = [
    # {} is a secret, which nothing of may be shown
    "SELECT 1 -- user {}",
    "SELECT 1 /* {} */ + 2",
    "SELECT '{}'",
    "SELECT 'a'/* ' */, '{}' -- '",
    "SELECT \"a'b\", '{}', 'c'",
    "SELECT E'\\\\', '{}'",
    "SELECT E'\\'', '{}'",
    "SELECT $x$ ' $x$, '{}'",
    "SELECT $$ ' $$, '{}'",
    "SELECT /* nested /* ' */ */ '{}'",
    "SELECT /* /* /* ' */ {} */ {} */ '{}'",
    "SELECT /* /* /* /* /* ' */ */ */ {} */ {} */ '{}'",
    "SELECT 'x\x01y', '{}'",
    "SELECT 'x\x02y\x02\x01', '{}\x02\x01'",
    "SELECT 1 /* cut {}",
    "SELECT '''', '''{}'''",
    "SELECT 'a\\', '{}'",
    "SELECT 'a\\'{}', b",
    "SELECT E'{}\\",
    "SELECT $é$ {} $é$",
    "SELECT 1$a${}$a$",
    "SET x TO {}",
    "SET x.y = {}",
    "SET SESSION x TO a, {}",
    'SET "x" TO "{}"',
    "/* c */ SET /* d */ x /* e */ TO /* f */ {}",
    "SET TIME ZONE {}",
    "ALTER ROLE a PASSWORD {}",
    "ALTER USER a WITH ENCRYPTED PASSWORD {} VALID UNTIL 'x'",
    "CREATE ROLE a LOGIN PASSWORD '{}",
    "CREATE GROUP a WITH PASSWORD = {}",
    "CREATE USER a IDENTIFIED BY {}",
    "ALTER USER MAPPING FOR a SERVER b OPTIONS (SET password {})",
    "CREATE SERVER a FOREIGN DATA WRAPPER b OPTIONS (host '{}', x {})",
    "CREATE SUBSCRIPTION a CONNECTION {} PUBLICATION p",
    "ALTER SUBSCRIPTION a CONNECTION 'password={}'",
    "COPY a TO PROGRAM {}",
    "ALTER SYSTEM SET a = {}",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET a = {} AS 'SELECT 1'",
    "SELECT set_config('x', '{}', true)",
    "EXECUTE p('{}')",
    "SELECT 1; SET x = {}",
    "SELECT a -- it's\r, '\n{}'",
    "SET a . b TO {}",
    'SET"a"TO {}',
    'ALTER ROLE a SET"b"TO {}',
    "COPY t FROM STDIN;\n1\t{}\n2\tx",
]

NUMBERS = (
    "4111111111111111",
    "4111_1111_1111_1111",
    "0x4111_1111",
    "0o4111_1111",
    "4111.1111e4111",
    "-4111e-4111",
)
PIECES = [
    *(
        "'",
        "''",
        '"',
        "\\",
        "$",
        "$$",
        "$a$",
        "/*",
        "*/",
        "*",
        "/",
        "--",
        "\n",
        ";",
        " ",
        "(",
        ")",
        ".",
        ",",
        "=",
        "-",
    ),
    *(
        "E'",
        "e'",
        "U&'",
        "x'",
        "4111",
        "_11",
        "0x",
        "0o17",
        "1e",
        "e-5",
        "$1",
        "$1234567",
        "é",
        "a",
        "t1",
        "\x01",
    ),
    *(
        "SET ",
        "set x to ",
        " TO ",
        "password ",
        "ALTER ROLE a ",
        "create ",
        "options (",
        "identified by ",
        "escape '\\'",
    ),
]

_INSIDE = ("'", '"', "\\", "$", "--", ";", " ", "\n", "\r", "E'", "U&'", "a", "=", "set x to", "4111")


def _inside(made: random.Random, *but: str) -> str:
    """What can stand in a constant, a comment or a name; nothing of `but`."""
    return "".join(made.choices([one for one in _INSIDE if one not in but], k=made.randint(0, 4)))


def _comment(made: random.Random, depth: int) -> str:
    inner = _comment(made, depth - 1) if depth else ""
    return f"/*{_inside(made)} {NAME} {inner} {_inside(made)}{'*' * made.randint(0, 2)}*/"


def _token(made: random.Random) -> str:
    kind = made.randrange(9)
    inside = f"{_inside(made)}{NAME}{_inside(made)}"
    if kind == 0:
        return made.choice(["", "N", "U&"]) + "'" + inside.replace("'", "''") + "'"
    if kind == 1:
        quote = made.choice(["''", "\\'"])
        return made.choice("eE") + "'" + inside.replace("\\", "\\\\").replace("'", quote) + "'"
    if kind == 2:
        return "$$" + inside.replace("$", "") + "$$"
    if kind == 3:
        return f'"{_inside(made, chr(34), "4111")}""{_inside(made, chr(34), "4111")}"'
    if kind == 4:
        return f"--{_inside(made, chr(10), chr(13))}{NAME}{made.choice([chr(10), chr(13)])}"
    if kind == 5:
        return _comment(made, made.randint(0, 5))
    return made.choice([*NUMBERS, "a", "+", "/", "*", ",", "=", "t1.c2", "(", ")"])


def statement(made: random.Random) -> str:
    """Tokens as PostgreSQL knows them (standard_conforming_strings = on), each constant and comment of them
    with a secret in it, and no name."""
    return "SELECT " + " ".join(_token(made) for _ in range(made.randint(1, 12)))
