"""Text on its way to and from PostgreSQL where the two sides do not know the same characters.

Names in the catalogs that all databases share are bytes in any encoding; a database in another one than UTF8
lacks characters. What is not text becomes \\xNN, a byte each (as lock_catalog.readable() writes it), and a
character that the database lacks becomes \\uNNNN.
"""

from __future__ import annotations

import codecs
import io
import json
from typing import Any, TextIO

import psycopg
from psycopg.adapt import Buffer, Dumper, Loader
from psycopg.types.json import Jsonb, JsonbDumper
from psycopg.types.string import StrBinaryDumper, StrDumper, StrDumperUnknown

_MARKED = "lockmon.marked"
# Names that PostgreSQL gives to encodings of databases, where Python's are not found by them.
_PYTHON = {
    "KOI8R": "koi8-r",
    "KOI8U": "koi8-u",
    "WIN866": "cp866",
    "WIN874": "cp874",
} | {f"WIN125{number}": f"cp125{number}" for number in range(9)}


def _mark(error: UnicodeError) -> tuple[str, int]:
    if isinstance(error, UnicodeDecodeError):
        return "".join(f"\\x{byte:02X}" for byte in error.object[error.start : error.end]), error.end
    if isinstance(error, UnicodeEncodeError):
        return "".join(f"\\u{ord(c):04X}" for c in error.object[error.start : error.end]), error.end
    raise error


codecs.register_error(_MARKED, _mark)


def mark_what_it_lacks(stream: TextIO) -> None:
    """Let a terminal or a file of any encoding be written to: \\uNNNN for each character that it lacks."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=_MARKED)


class MarkedLoader(Loader):
    """Reads text of PostgreSQL's catalogs, of which nobody has proven that it is UTF-8."""

    def load(self, data: Buffer) -> str:
        """The text; a byte that is no part of a character as \\xNN."""
        return bytes(data).decode("utf-8", _MARKED)


def read_any_name(cursor: psycopg.Cursor[Any]) -> None:
    """Let a cursor read names and texts that come straight from PostgreSQL's catalogs."""
    for kind in ("name", "text"):
        cursor.adapters.register_loader(kind, MarkedLoader)


def codec_of(encoding: str) -> str | None:
    """Python's name for the encoding of a database; None where it has none, or where nothing is lacking."""
    if encoding == "UTF8":
        return None
    try:
        return codecs.lookup(_PYTHON.get(encoding, encoding)).name
    except LookupError:
        return None


def marked(value: Any, codec: str) -> Any:
    """The same text, or JSON value, with \\uNNNN for each character that the codec lacks."""
    if isinstance(value, str):
        return value.encode(codec, _MARKED).decode(codec)
    if isinstance(value, dict):
        return {marked(name, codec): marked(inner, codec) for name, inner in value.items()}
    if isinstance(value, list):
        return [marked(inner, codec) for inner in value]
    return value


def mark_what_is_lacking(connection: psycopg.Connection[Any]) -> None:
    """Let a connection send texts of any characters to its database, whatever that one's encoding."""
    codec = codec_of(connection.info.parameter_status("server_encoding") or "UTF8")
    if codec is None:
        return
    # the last one is what a str becomes by default
    for dumper in (StrBinaryDumper, StrDumper, StrDumperUnknown):
        connection.adapters.register_dumper(str, _marking(dumper, codec))
    connection.adapters.register_dumper(Jsonb, _marking_json(codec))


def _marking(base: type[Dumper], codec: str) -> type[Dumper]:
    class Marking(base):  # type: ignore[valid-type, misc]
        def dump(self, obj: str) -> Buffer | None:
            return super().dump(marked(obj, codec))  # type: ignore[no-any-return]

    return Marking


def _marking_json(codec: str) -> type[Dumper]:
    class Marking(JsonbDumper):
        def dump(self, obj: Any) -> Buffer | None:
            dumped = super().dump(obj)
            if dumped is None:
                return None
            return json.dumps(marked(json.loads(bytes(dumped)), codec)).encode()

    return Marking
