"""The web database as a file and on PostgreSQL, with everything that writes it at once.

    python -m tests.bench.bench_web_database [TASKS]

Two web workers with four people who log in and read pages, the loop, two task queues of four workers each,
and so many tasks (2,000) which two processes hand out: first on SQLite, then on a PostgreSQL with durable
commits. Prints tasks and pages a second, and both as a ratio.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from tests.support import vaults  # noqa: E402
from tests.support.loops import url  # noqa: E402
from tests.support.servers import throwaway  # noqa: E402
from tests.support.web_load import Done, measure  # noqa: E402
from tests.support.web_places import Site, site  # noqa: E402

SCHEDULES = 40


def told(name: str, done: Done, tasks: int) -> None:
    """Print the figures of one place."""
    twice = [task for task, times in done.ran.items() if times != 1]
    print(
        f"{name}: {done.tasks_a_second:.1f} tasks a second ({len(done.ran)} of {tasks + SCHEDULES} done,"
        f" {len(twice)} not once), {done.pages / done.seconds:.1f} pages a second with {done.logins} logins,"
        f" p50 {done.slowest(0.5) * 1000:.0f} ms, p95 {done.slowest(0.95) * 1000:.0f} ms,"
        f" longest {done.slowest(1) * 1000:.0f} ms; {len(done.bad_pages)} bad pages,"
        f" {len(done.trouble)} lines of trouble",
        flush=True,
    )
    for line in [*done.bad_pages, *done.trouble][:10]:
        print(f"    {line}")


def main() -> None:
    """Both places, one after the other, on one machine within one run."""
    # ended by a signal, it ends what it has started
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    tasks = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    durable = {"fsync": "on", "full_page_writes": "on"}
    with tempfile.TemporaryDirectory() as made, throwaway(durable, on_disk=True) as server:
        folder = Path(made)
        vaults.install(server.dsn(server.create_database(name="vault")))
        web = server.create_database(name="web")
        found: dict[str, Done] = {}
        places: dict[str, Site] = {
            "SQLite": site(server, "vault", folder / "local"),
            "PostgreSQL": site(server, "vault", folder / "none", DATABASE_URL=url(server.dsn(web))),
        }
        for name, one in places.items():
            one.does("migrate", "-v0")
            found[name] = measure(one, folder / name, tasks, SCHEDULES, 3600)
            told(name, found[name], tasks)
        ratio = found["SQLite"].tasks_a_second / found["PostgreSQL"].tasks_a_second
        pages = [one.pages / one.seconds for one in found.values()]
        print(f"SQLite does {ratio:.2f} times the tasks and {pages[0] / pages[1]:.2f} times the pages.")


if __name__ == "__main__":
    main()
