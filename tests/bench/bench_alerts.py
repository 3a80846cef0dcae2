"""How soon people hear of a block, and how often: the whole way, from a session that waits to a mail
server and a webhook.

    python -m tests.bench.bench_alerts [ALERTS]

Starts a django-q cluster on a throwaway server, with a login that has the application's rights and nothing
but the
schedule running, a real SMTP server and a real webhook receiver. Prints:
1. for ALERTS (60) sessions that begin to wait at random moments: seconds until the mail and the webhook
were received;
2. for a value that changes 500 times in a minute: how many messages were received;
3. for ten messages decided while the mail server hangs, with the whole cluster killed (kill -9) before any
was handed
   over: how many were received in the end, and how often;
4. the loop's largest gap between two looks meanwhile: evaluation must not delay a sample.
"""

from __future__ import annotations

import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from functools import partial
from typing import Any

import psycopg

from lockmon.calls import alert_messages as outbox
from lockmon.calls import alerts as calls
from lockmon.install import grant_login
from tests.bench.crowd import until
from tests.support import vaults
from tests.support.loops import ROOT, status, url
from tests.support.receivers import Received, smtp_server, webhook
from tests.support.servers import Server, throwaway

LOGIN = "bench_app"
WAITS = (
    "SELECT count(*) FROM lock_catalog.sessions"
    " WHERE application_name = 'bench-{}' AND wait_event_type = 'Lock'"
)


def alert(connection: psycopg.Connection[Any], name: str, query: str, recipients: list[str]) -> None:
    """Save an alert that is critical from 1 up."""
    values = {
        "alert_name": name,
        "alert_category": "BENCH",
        "alert_query": query,
        "warning_threshold": None,
        "critical_threshold": 1,
        "alert_severity": "HIGH",
        "is_active": True,
        "notification_recipients": recipients,
    }
    calls.save_alert_configuration(connection.cursor(), name.encode(), None, values, "bench", None)


class Cluster:
    """A django-q cluster with mail and channel pointing to our receivers; can be killed and started
    again."""

    def __init__(self, vault: str, web: str, mail: Received, hook: Received) -> None:
        self._environment = dict(os.environ) | {
            "DJANGO_SETTINGS_MODULE": "onevault.settings",
            "SECRET_KEY": "only-for-the-benchmark-" * 2,
            "VAULT_DATABASE_URL": url(vault),
            "DATABASE_URL": url(web),
            "MAIL_HOST": "127.0.0.1",
            "MAIL_PORT": str(mail.port),
            "MAIL_TLS": "0",
            "LOCKMON_CHANNEL_BENCH": f"json://127.0.0.1:{hook.port}/hook",
            "LOG_LEVEL": "warning",
        }
        self._manage = [sys.executable, "manage.py"]
        subprocess.run([*self._manage, "migrate", "-v0"], cwd=ROOT, env=self._environment, check=True)
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self._manage, "qcluster"],
            cwd=ROOT,
            env=self._environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        """kill -9 the whole process group."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def restart(self) -> None:
        """Start another one."""
        self._process = self._start()


def _both(mail: Received, hook: Received, count: int) -> bool:
    """Whether both receivers have had this many messages."""
    return min(len(mail.mails), len(hook.posts)) >= count


def warm(connection: psycopg.Connection[Any], mail: Received, hook: Received) -> None:
    """Wait until both ways have been used by both workers that send: the figures are of a running system."""
    for number in range(6):
        for recipient in (f"warm{number}@example.org", "channel:bench"):
            outbox.add_alert_message(
                connection.cursor(),
                None,
                None,
                "test",
                recipient,
                f"warm:{number}:{recipient}",
                {"name": "warm"},
                1000,
            )
        until(partial(_both, mail, hook, number + 1), "a test message", 60)
    mail.mails.clear()
    hook.posts.clear()


def waiting(dsn: str, count: int, mail: Received, hook: Received) -> None:
    """Figure 1: sessions begin to wait at random moments."""
    begun: dict[str, float] = {}
    sessions: list[psycopg.Connection[Any]] = []
    dice = random.Random(7)
    with psycopg.connect(dsn) as holder:
        holder.execute("LOCK TABLE public.thing IN ACCESS EXCLUSIVE MODE")
        for number in range(count):
            session = psycopg.connect(dsn, application_name=f"bench-{number}")
            sessions.append(session)
            thread = threading.Thread(target=_wait, args=(session,), daemon=True)
            begun[f"dba{number}@example.org"] = begun[f"wait {number}"] = time.time()
            thread.start()
            time.sleep(dice.uniform(0.2, 1.2))
        until(lambda: len(mail.mails) >= count and len(hook.posts) >= count, "all messages", 60)
        holder.rollback()
    for session in sessions:
        session.close()
    mails = sorted(at - begun[to] for at, to, _ in mail.mails[:count])
    posts = sorted(
        at
        - begun[next(name for name in (f"wait {n}" for n in range(count)) if f": {name} (" in body["title"])]
        for at, _, body in hook.posts[:count]
    )
    for kind, delays in (("mail", mails), ("webhook", posts)):
        p95 = delays[min(len(delays) - 1, int(len(delays) * 0.95))]
        print(
            f"{kind:8} {len(delays)} messages: p50 {statistics.median(delays):.2f} s  p95 {p95:.2f} s"
            f" (under 5)  "
            f"max {delays[-1]:.2f} s (under 10)",
            flush=True,
        )


def _wait(session: psycopg.Connection[Any]) -> None:
    try:
        session.execute("SELECT count(*) FROM public.thing")
    except psycopg.Error:
        return


def storm(dsn: str, connection: psycopg.Connection[Any], mail: Received) -> None:
    """Figure 2: a value that changes 500 times in a minute."""
    connection.execute("CREATE TABLE public.flag AS SELECT 0 AS value")
    connection.execute("GRANT SELECT ON public.flag TO lock_alert_sandbox")
    alert(connection, "storm", "SELECT value FROM public.flag", ["storm@example.org"])
    for number in range(500):
        connection.execute("UPDATE public.flag SET value = %s", [1 - number % 2])
        time.sleep(0.12)
    connection.execute("UPDATE public.flag SET value = 0")

    def over() -> bool:
        return any(
            "Over" in str(message["Subject"]) for _, to, message in mail.mails if to.startswith("storm")
        )

    until(over, "the end of the storm", 90)
    told = [str(message["Subject"]) for _, to, message in mail.mails if to.startswith("storm")]
    print(
        f"storm    500 changes in a minute: {len(told)} messages (2 allowed: it began, it is over)",
        flush=True,
    )


def killed(connection: psycopg.Connection[Any], cluster: Cluster, mail: Received) -> None:
    """Figure 3: the whole cluster is killed between evaluation and sending."""
    mail.answer = "hang"
    for number in range(10):
        alert(connection, f"kill {number}", "SELECT 1", [f"kill{number}@example.org"])

    def stored() -> bool:
        row = connection.execute(
            "SELECT count(*) FROM monitoring.alert_message WHERE recipient LIKE 'kill%'"
        ).fetchone()
        return row == (10,)

    until(stored, "ten messages in the outbox", 30)
    cluster.kill()
    mail.answer = "ok"
    mail.released.set()
    begun = time.monotonic()
    cluster.restart()

    def received() -> set[str]:
        return {to for _, to, _ in mail.mails if to.startswith("kill")}

    until(lambda: len(received()) == 10, "all ten", 150)
    counted = Counter(to for _, to, _ in mail.mails if to.startswith("kill"))
    print(
        f"killed   10 messages decided before the kill: {len(counted)} received, "
        f"{sum(counted.values()) - len(counted)} of them twice, the last {time.monotonic() - begun:.0f}"
        f" s after the restart",
        flush=True,
    )


def run(server: Server, count: int, mail: Received, hook: Received) -> None:
    """Set everything up and print the figures."""
    name = server.create_database()
    vault_dsn, web_dsn = server.dsn(name), server.dsn(server.create_database())
    vaults.install(vault_dsn)
    with psycopg.connect(vault_dsn, autocommit=True) as connection:
        grant_login(connection, LOGIN, "only-for-the-benchmark")
        connection.execute("CREATE TABLE public.thing (id integer)")
        connection.execute(
            "UPDATE lock_admin.setting SET value = '10000' WHERE name = 'alerts.max_messages_per_minute'"
        )
        for number in range(count):
            alert(
                connection,
                f"wait {number}",
                WAITS.format(number),
                [f"dba{number}@example.org", "channel:bench"],
            )
        cluster = Cluster(server.dsn(name, LOGIN), web_dsn, mail, hook)
        try:
            until(lambda: status(vault_dsn).state == "watching", "the schedule starting the loop", 120)
            evaluated = "SELECT count(*) FROM monitoring.alert_state WHERE evaluation_ms > 0"
            until(
                lambda: (connection.execute(evaluated).fetchone() or (0,))[0] > count, "the first round", 60
            )
            warm(connection, mail, hook)
            waiting(vault_dsn, count, mail, hook)
            storm(vault_dsn, connection, mail)
            gap, cycle = connection.execute(
                "SELECT max(largest_gap_ms), max(slowest_cycle_ms) FROM lock_engine.coverage"
            ).fetchone() or (None, None)
            print(f"loop     largest gap between two looks {gap} ms, slowest cycle {cycle} ms", flush=True)
            (spent,) = connection.execute(
                "SELECT sum(evaluation_ms) FROM monitoring.alert_state"
            ).fetchone() or (0,)
            print(f"round    all queries together {spent} ms, every 3 s", flush=True)
            killed(connection, cluster, mail)
        finally:
            cluster.kill()


def main() -> None:
    """Run it."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    with (
        throwaway({"max_connections": "200"}, on_disk=True) as server,
        smtp_server() as mail,
        webhook() as hook,
    ):
        run(server, count, mail, hook)


if __name__ == "__main__":
    main()
