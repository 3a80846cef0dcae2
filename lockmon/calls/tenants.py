"""Names of the site's tenants, which go on being known while its table is locked."""

from __future__ import annotations

from .base import Cursor

NOT_KNOWN_YET = "tenant not known yet (the site's tables could not be read)"
"""What an empty key stands for: rows whose tenant is still to be looked up."""


def names(cursor: Cursor, keys: list[str] | None = None, limit: int | None = None) -> dict[str, str]:
    """Return key (hex) to name of these tenants, or of all, by name, at most `limit`.

    lock_engine.tenant_names(): as last seen where auth.tenant_h cannot be read at once. A key that has no
    name is left out; the empty key is NOT_KNOWN_YET. Raises only what the driver raises.
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
