"""Names of the site's tenants, as they were last read: nothing here touches a table of the site's."""

from __future__ import annotations

from .base import Cursor

NOT_KNOWN_YET = "tenant not known yet (the site's tables could not be read)"
"""What an empty key stands for: rows whose tenant is still to be looked up."""


def names(cursor: Cursor, keys: list[str] | None = None, limit: int | None = None) -> dict[str, str]:
    """Return key (hex) to name of these tenants, or of all, by name, at most `limit`.

    lock_engine.tenant_names(): as last read from auth.tenant_h. A key that has no name is left out; the empty
    key is NOT_KNOWN_YET. Raises only what the driver raises.
    """
    wanted = None if keys is None else [bytes.fromhex(key) for key in keys]
    cursor.execute(
        "SELECT encode(n.tenant_hk, 'hex'), n.tenant_bk FROM lock_engine.tenant_names(%s::bytea[], %s) AS n",
        [wanted, limit],
    )
    found = {str(key): str(name) for key, name in cursor.fetchall()}
    if keys is not None and "" in keys:
        found[""] = NOT_KNOWN_YET
    return found


def due(cursor: Cursor) -> bool:
    """lock_engine.ask_due(): whether there is something to ask the site's tables."""
    cursor.execute("SELECT lock_engine.ask_due()")
    row = cursor.fetchone()
    return row is not None and bool(row[0])


def ask_site(cursor: Cursor, *, everything: bool = False) -> int:
    """lock_engine.ask_site(): look up in the site's tables what is wanted; how many claims were answered.

    On a connection of its own, which is closed afterwards: code planted at those tables could change its
    session. What could not be read is counted in the vault as a failure of the part "tenants".
    """
    cursor.execute("SELECT lock_engine.ask_site(%s)", [everything])
    row = cursor.fetchone()
    return 0 if row is None else int(row[0])
