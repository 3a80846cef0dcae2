"""`make run`: everything that the monitor needs, started by one command and stopped by one Ctrl-C.

1. the embedded PostgreSQL, for the vault and Django's tables; where VAULT_DATABASE_URL names a database for
   Django's tables alone, and not where DATABASE_URL, or the file of onevault/web_place.py, says otherwise
2. the vault, Django's tables, people
3. the loop and its standby, the task queue, the web pages, and on the embedded database demo traffic
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from onevault.embedded import account as accounts
from onevault.embedded import binaries
from onevault.embedded.account import EmbeddedError
from onevault.embedded.children import Child, stop_all
from onevault.embedded.cluster import Cluster
from onevault.embedded.local import Local, State

if TYPE_CHECKING:
    from onevault.embedded import prepare

LONGEST_PAUSE_OF_THE_LOOP = 1.0
"""Seconds until a loop that has ended is started again, also one that ends again and again."""
STOP_SECONDS = 3.0
"""So long after Ctrl-C what has not ended is killed; PostgreSQL's own end comes after it."""

PROJECT = Path(__file__).resolve().parent.parent.parent


def say(sentence: str) -> None:
    """Tell the person at the terminal."""
    print(sentence, flush=True)


class Runner:
    """Starts, looks after and stops everything."""

    def __init__(self) -> None:
        """Read the environment; ImproperlyConfigured or EmbeddedError with one sentence."""
        from onevault import env
        from onevault.databases import EMBEDDED_PORT

        self.port = env.number("PORT", 8000, 1, 65_535)
        self.embedded = not env.text("VAULT_DATABASE_URL") and not env.text("DATABASE_URL")
        self.demo = env.flag("DEMO", True) and self.embedded
        self.local = Local(env.folder("ONEVAULT_LOCAL", PROJECT / ".local"))
        self.preferred_port = EMBEDDED_PORT
        self.cluster: Cluster | None = None
        self.children: list[Child] = []
        self.web: Child | None = None
        self.ending = threading.Event()

    def run(self) -> None:
        """Start everything, wait for Ctrl-C, stop everything."""
        refuse_taken_port(self.port)
        self.local.lock()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._asked_to_end)
        try:
            self._start()
            while not self.ending.wait(0.5):
                self._look_after()
        except KeyboardInterrupt:
            pass  # before everything was up
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            self._stop()

    def _asked_to_end(self, number: int, frame: FrameType | None) -> None:
        if not self.children:
            raise KeyboardInterrupt
        self.ending.set()

    def _start(self) -> None:
        if self.embedded:
            self._start_cluster()
        else:
            say("Using the database of VAULT_DATABASE_URL; no demo traffic runs on it.")
            if self._web_is_embedded():
                self._start_cluster()
        self._set_environment()
        people = self._prepare()
        self._start_children()
        self._wait_for_pages()
        self._greet(people)

    def _web_is_embedded(self) -> bool:
        """Whether Django's tables alone are the embedded PostgreSQL's; decided at the first start."""
        from onevault import web_choice, web_place

        if not web_choice.is_open():
            return False
        try:
            return web_choice.choose(self.local.folder, web_place.EMBEDDED) == web_place.EMBEDDED
        except web_choice.UnansweredError as error:
            raise EmbeddedError(str(error)) from error

    def _start_cluster(self) -> None:
        account = accounts.server_account()
        found = binaries.find(account)
        base = self.local.cluster_folder(account, PROJECT)
        state = self.local.state(self.preferred_port)
        # statements whole, and matched by their id: what the doctor asks of a server
        settings = {"track_activity_query_size": "4096"}
        if found.major >= 14:
            settings["compute_query_id"] = "on"
        self.cluster = Cluster(
            base, found, account, state.port, password=state.superuser_password, settings=settings
        )
        self.cluster.end_leftover()
        if not port_is_free(state.port):
            self._move_port(self.cluster, state)
        say(f"Starting PostgreSQL {found.version} on 127.0.0.1:{state.port}, data in {base} ...")
        self.cluster.initialise()
        try:
            self.cluster.start()
        except EmbeddedError:
            if port_is_free(state.port):
                raise
            # somebody has taken it since
            self._move_port(self.cluster, state)
            say(f"Its port was taken meanwhile: starting it on 127.0.0.1:{state.port} ...")
            self.cluster.start()
        self._make_databases(state)

    def _move_port(self, cluster: Cluster, state: State) -> None:
        """Give the embedded PostgreSQL another port, and remember it."""
        state.port = cluster.port = any_free_port()
        self.local.keep(state)

    def _make_databases(self, state: State) -> None:
        from onevault.embedded import prepare

        assert self.cluster is not None
        prepare.databases(self.cluster, state, with_vault=self.embedded)

    def _set_environment(self) -> None:
        """What settings.py reads, here and in the children; the person's own variables win."""
        environment = {
            "DJANGO_SETTINGS_MODULE": "onevault.settings",
            "ONEVAULT_LOCAL": str(self.local.folder),
            "SECRET_KEY": self.local.secret_key(),
            "HTTPS_ONLY": "0",  # the pages are served to this machine only
            "COLLECT_STATIC": "1",
            "STATIC_ROOT": str(self.local.folder / "static"),
        }
        for name, value in environment.items():
            if not os.environ.get(name):
                os.environ[name] = value

    def _prepare(self) -> list[prepare.Person]:
        import django
        from django.conf import settings
        from django.db import connections

        from onevault.embedded import prepare

        django.setup()
        if self.embedded and self.cluster is not None:
            say("Installing the vault ...")
            prepare.vault(self.cluster)
        elif why := prepare.require_vault():
            say(f"{why} The pages say so until it answers.")
        prepare.web_tables(Path(settings.STATIC_ROOT))
        people = prepare.people(self.local)
        connections.close_all()
        return people

    def _child(self, name: str, *arguments: str, **more: float) -> Child:
        log = self.local.logs / f"{name.replace(' ', '-')}.log"
        command = [sys.executable, *arguments]
        return Child(f"The {name}", command, log, dict(os.environ), PROJECT, **more)

    def _start_children(self) -> None:
        # one of them leads; the other stands by, so that a kill leaves no second unwatched
        for name in ("loop", "standby loop"):
            pause = LONGEST_PAUSE_OF_THE_LOOP
            self.children.append(self._child(name, "manage.py", "lockmon_monitor", longest_pause=pause))
        self.children.append(self._child("task queue", "manage.py", "qcluster", "--skip-checks"))
        self.web = self._child(
            "web server",
            *("-m", "gunicorn", "onevault.wsgi", "--bind", f"127.0.0.1:{self.port}"),
            *("--workers", "2", "--threads", "4", "--no-control-socket"),
        )
        self.children.append(self.web)
        if self.demo:
            self.children.append(self._child("demo traffic", "manage.py", "lockmon_demo"))
        for child in self.children:
            child.start()

    def _wait_for_pages(self) -> None:
        web = self.web
        while web is not None and not self.ending.wait(0.1):
            if web.process is not None and web.process.poll() is not None:
                raise EmbeddedError(f"The web server ended at once: {web.last_words()} (see {web.log}).")
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return

    def _greet(self, people: list[prepare.Person]) -> None:
        say("")
        say(f"    One Vault lock monitor:  http://127.0.0.1:{self.port}/")
        say("")
        for person in people:
            password = person.password or "(changed since)"
            say(f"    {person.name:<8} password {password:<18} {person.rights}")
        say("")
        if self.demo:
            say("Demo traffic is running on the embedded database (DEMO=0 make run does without).")
        say(f"Logs are in {self.local.logs}. Ctrl-C stops everything.")

    def _look_after(self) -> None:
        if self.cluster is not None and not self.cluster.alive():
            say("PostgreSQL ended unexpectedly and is started again.")
            self.cluster.start()
        for child in self.children:
            child.look(say)

    def _stop(self) -> None:
        if self.children:
            say("\nStopping ...")
        stop_all(self.children, STOP_SECONDS)
        if self.cluster is not None:
            self.cluster.stop()
        if self.children:
            say("Everything is stopped.")


def port_is_free(port: int) -> bool:
    """Whether a server can listen on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def any_free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def refuse_taken_port(port: int) -> None:
    """EmbeddedError if the pages cannot be served on this port."""
    if port < 1024 and os.geteuid() != 0:
        raise EmbeddedError(f"Port {port} is for root only: choose one with 'PORT=8001 make run'.")
    if not port_is_free(port):
        raise EmbeddedError(
            f"Port {port} is taken by another program: end that, or say 'PORT={port + 1} make run'."
        )


def main() -> int:
    """Run until asked to end; 0 after a clean end, 2 with one sentence if it could not start."""
    from django.core.exceptions import ImproperlyConfigured

    sys.path.insert(0, str(PROJECT))
    try:
        Runner().run()
    except (EmbeddedError, ImproperlyConfigured) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
