"""The database side from Python: install ``sql/``, look whether it is all there, let a login in, remove it.

psql and this package read the same two manifests; see docs/deployment.md.
"""

from __future__ import annotations

from lockmon.install.apply import Connection, Installation, InstallError, connect, install, install_on
from lockmon.install.login import LoginGrant, grant_login
from lockmon.install.manifest import SQL_FOLDER, Drift, Source, sources
from lockmon.install.removal import Loss, Removal, remove, what_is_lost
from lockmon.install.verification import Check, drift, verify

__all__ = [
    "SQL_FOLDER",
    "Check",
    "Connection",
    "Drift",
    "InstallError",
    "Installation",
    "LoginGrant",
    "Loss",
    "Removal",
    "Source",
    "connect",
    "drift",
    "grant_login",
    "install",
    "install_on",
    "remove",
    "sources",
    "verify",
    "what_is_lost",
]
