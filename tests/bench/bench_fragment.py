"""The live page's fragment against another release's, in turn.

    python -m tests.bench.bench_fragment FOLDER

FOLDER is a checkout of the other release, with the same packages. A process of each sets up a server, a web
database and the same scene (448 waiters behind 11 roots; 400 on one row; 400 behind a queued DDL), and is
asked in turn for 25 fragments: what page and backend had of a processor, the median, and the ratio. Takes two
minutes. Alone, as the part that is run in each folder: `... bench_fragment --one`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

SCENES = ("448 waiters behind 11 roots", "400 on one row", "400 behind a queued DDL")
TIMES = 25


def one() -> None:
    """Set up, then answer each line on stdin with the milliseconds of a fragment; an empty one ends a scene.

    It runs in the other release, too, and so calls nothing that only this one's tests have.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from django.db import connections
    from django.test.utils import setup_test_environment

    from tests.bench.crowd import Crowd, Scenes, until
    from tests.support import vaults
    from tests.support.people import browser, use_app_login
    from tests.support.servers import throwaway

    setup_test_environment()
    with throwaway({"max_connections": "1200", "deadlock_timeout": "10min"}) as server:
        name = server.create_database(name="fragment")
        vaults.install(server.dsn(name))
        server.execute("CREATE ROLE ordinary LOGIN")
        vaults.point_alias("default", server, "postgres")
        made = connections["default"].creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        connections["default"].close()
        vaults.point_alias("default", server, made)
        vaults.point_alias("vault", server, name)
        use_app_login()
        client = browser("dba")
        print("ready", flush=True)
        for number in range(len(SCENES)):
            scenes = Scenes(server.dsn(name))
            scenes.admin.execute("GRANT ALL ON account TO PUBLIC")
            with Crowd(server.dsn(name).replace("user=postgres", "user=ordinary")) as crowd:
                if number == 0:
                    scenes.trees(crowd, 11, 40)
                    for _ in range(8):
                        scenes.one_more(crowd, 1)
                elif number == 1:
                    scenes.one_row(crowd, 400)
                else:
                    scenes.admin.execute("ALTER TABLE account OWNER TO ordinary")
                    scenes.queued_ddl(crowd, 400)
                until(lambda at=scenes: at.waiting() >= 400, "the scene")  # type: ignore[misc]
                print("ready", flush=True)
                for line in sys.stdin:
                    if not line.strip():
                        break
                    with connections["vault"].cursor() as cursor:
                        cursor.execute("SELECT pg_backend_pid()")
                        pid = cursor.fetchone()[0]
                    begun = time.process_time() * 1000 + _of(pid)
                    answer = client.get("/admin/monitor/live/fragment/")
                    assert answer.status_code == 200
                    print(time.process_time() * 1000 + _of(pid) - begun, flush=True)
            scenes.close()
        connections.close_all()


def _of(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e6


class Side:
    """The process of one release."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "--one"],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ready()

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("a side ended")
        return line

    def ready(self) -> None:
        """Wait until it is."""
        while self._line().strip() != "ready":
            pass

    def ask(self, text: str) -> None:
        """Send a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def cost(self) -> float:
        """Milliseconds of one fragment."""
        self.ask("go")
        return float(self._line())


def main(other: Path) -> None:
    """Compare this tree with another."""
    sides = [Side(Path(__file__).resolve().parents[2]), Side(other.resolve())]
    for name in SCENES:
        for side in sides:
            side.ready()
        took: list[list[float]] = [[], []]
        for turn in range(TIMES + 3):
            for number, side in enumerate(sides):
                cost = side.cost()
                if turn >= 3:
                    took[number].append(cost)
        mine, theirs = (statistics.median(times) for times in took)
        print(f"{name}: {mine:.1f} ms, the other {theirs:.1f} ms: {mine / theirs:.3f}", flush=True)
        for side in sides:
            side.ask("")
    for side in sides:
        side.process.wait(60)


if __name__ == "__main__":
    if sys.argv[1:] == ["--one"]:
        one()
    elif len(sys.argv) == 2:
        main(Path(sys.argv[1]))
    else:
        print(
            "Not run: it needs the folder of another release (python -m tests.bench.bench_fragment FOLDER)."
        )
