"""The account that PostgreSQL runs as: the caller's, or an unprivileged one where the caller is root."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot do what was asked; the message is one sentence for whoever asked."""


@dataclass(frozen=True)
class Account:
    """A user of this machine."""

    name: str
    uid: int
    gid: int


# PostgreSQL refuses to run as root. "postgres" is there wherever Debian's package was; "nobody" everywhere.
_CANDIDATES = ("postgres", "nobody", "daemon")


def server_account() -> Account | None:
    """The unprivileged account to drop to; None if this process is not root."""
    if os.geteuid() != 0:
        return None
    for name in _CANDIDATES:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        if found.pw_uid != 0:
            return Account(name, found.pw_uid, found.pw_gid)
    raise EmbeddedError(
        "PostgreSQL does not run as root and this machine has no account named postgres, nobody or daemon: "
        "start as an ordinary user."
    )


def can_reach(path: Path, account: Account | None) -> bool:
    """Whether the account may read the file `path` and enter every folder above it."""
    real = path.resolve()
    if not real.exists():
        return False
    if account is None:
        return os.access(real, os.R_OK)
    return can_enter(real.parent, account) and _permitted(real, account, stat.S_IROTH)


def can_enter(folder: Path, account: Account) -> bool:
    """Whether the account may enter the folder and every one above it."""
    real = folder.resolve()
    return all(_permitted(place, account, stat.S_IXOTH) for place in (real, *real.parents))


def _permitted(place: Path, account: Account, bit: int) -> bool:
    status = place.stat()
    if status.st_uid == account.uid:
        return bool(status.st_mode & (bit << 6))
    if status.st_gid == account.gid:
        return bool(status.st_mode & (bit << 3))
    return bool(status.st_mode & bit)


def give(path: Path, account: Account | None) -> None:
    """Make the account the owner of a file or an (empty) folder."""
    if account is not None:
        os.chown(path, account.uid, account.gid)


def clean_environment() -> dict[str, str]:
    """An environment in which no PG* variable, and no locale this machine lacks, can mislead PostgreSQL."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PG", "LC_")) and key != "LANGUAGE"
    }
    return kept | {"LC_ALL": "C", "LANG": "C"}


def _dying_with_parent(number: int) -> Callable[[], None] | None:
    """On Linux: what a child calls to get the signal when the thread that started it ends, in any way."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        libc.prctl(1, number, 0, 0, 0)  # PR_SET_PDEATHSIG

    return prepare


def start(
    command: Sequence[str],
    *,
    account: Account | None = None,
    dying_signal: int = signal.SIGTERM,
    **options: Any,
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own (so a terminal's Ctrl-C reaches only us), as `account`.

    Call it from the main thread: the child is told to end (`dying_signal`) when the calling thread ends.
    """
    if account is not None:
        options |= {"user": account.uid, "group": account.gid, "extra_groups": []}
    return subprocess.Popen(
        list(command), start_new_session=True, preexec_fn=_dying_with_parent(dying_signal), **options
    )


def run(
    command: Sequence[str], *, account: Account | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end as `account`; its output comes back as text, an exit code is not judged."""
    if account is not None:
        options |= {"user": account.uid, "group": account.gid, "extra_groups": []}
    return subprocess.run(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        **options,
    )
