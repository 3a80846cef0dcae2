"""The folder that `make run` keeps its things in: .local, or what ONEVAULT_LOCAL says."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from io import TextIOWrapper
from pathlib import Path

from onevault.embedded import account as accounts
from onevault.embedded.account import Account, EmbeddedError

_ROOT_DATA = Path("/var/lib/onevault")


@dataclass
class State:
    """What is remembered from one start to the next; the port is the embedded PostgreSQL's."""

    port: int
    superuser_password: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    app_password: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    demo_password: str = field(default_factory=lambda: secrets.token_urlsafe(24))


class Local:
    """The folder and what is in it. Secrets are files that only their owner may read."""

    def __init__(self, folder: Path) -> None:
        """Make the folder if there is none; EmbeddedError if that is not possible."""
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # PostgreSQL's account must be able to pass through; it may not look around.
            folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
            self.logs.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise EmbeddedError(f"{folder} cannot be made or used ({error.strerror}).") from error
        self._lock: TextIOWrapper | None = None

    @property
    def logs(self) -> Path:
        """Where the output of the started processes goes."""
        return self.folder / "log"

    def lock(self) -> None:
        """Make sure that no other `make run` uses this folder; held until this process ends."""
        file = (self.folder / "run.lock").open("a+", encoding="ascii")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            pid = file.read().strip() or "unknown"
            file.close()
            raise EmbeddedError(
                f"make run is already running here (pid {pid}): stop that one first."
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._lock = file

    def cluster_folder(self, account: Account | None, project: Path) -> Path:
        """The folder of the embedded cluster, owned by the account that PostgreSQL runs as.

        It is .local/postgres; where root's PostgreSQL account cannot enter that, it is a
        folder below /var/lib/onevault that belongs to this project.
        """
        place = self.folder / "postgres"
        if account is not None and not accounts.can_enter(self.folder, account):
            key = hashlib.sha256(str(project).encode()).hexdigest()[:12]
            place = _ROOT_DATA / key
            place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if not place.exists():
            place.mkdir(mode=0o700)
            accounts.give(place, account)
        owner = place.stat().st_uid
        if owner != (account.uid if account else os.geteuid()):
            raise EmbeddedError(
                f"{place} belongs to another user (uid {owner}): start as that user, or move the folder away."
            )
        return place

    def state(self, port: int) -> State:
        """What is remembered; made at the first start, with `port`."""
        file = self.folder / "embedded.json"
        try:
            return State(**json.loads(file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            fresh = State(port)
            self.keep(fresh)
            return fresh
        except (OSError, ValueError, TypeError) as error:
            raise EmbeddedError(
                f"{file} cannot be read ({error}): move {self.folder} away to begin anew."
            ) from error

    def keep(self, state: State) -> None:
        """Remember this."""
        self.write_secret("embedded.json", json.dumps(asdict(state), indent=1) + "\n")

    def secret_key(self) -> str:
        """Django's secret key of this installation."""
        return self._made_once("secret_key", lambda: secrets.token_hex(32))

    def password(self, person: str) -> str:
        """The password that was made for a person at the first start."""
        return self._made_once(f"password-{person}", lambda: secrets.token_urlsafe(12))

    def _made_once(self, name: str, make: Callable[[], str]) -> str:
        try:
            if found := (self.folder / name).read_text(encoding="ascii").strip():
                return found
        except FileNotFoundError:
            pass
        except (OSError, UnicodeDecodeError) as error:
            file = self.folder / name
            raise EmbeddedError(
                f"{file} cannot be read ({error}): move it away to have it made anew."
            ) from error
        fresh = make()
        self.write_secret(name, fresh + "\n")
        return fresh

    def write_secret(self, name: str, content: str) -> None:
        """Write a file (mode 600) so that it is there wholly or not at all."""
        temporary = self.folder / f".{name}.new"
        temporary.unlink(missing_ok=True)
        temporary.touch(mode=0o600)
        temporary.write_text(content, encoding="utf-8")
        temporary.rename(self.folder / name)
