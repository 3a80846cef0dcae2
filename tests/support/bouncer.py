"""A real pgbouncer in transaction mode before the tests' server (Debian: apt-get install pgbouncer)."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg

from onevault.embedded import account as accounts
from tests.support.poll import poll
from tests.support.servers import Server, free_port

PROGRAM = shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
HOST = "127.0.0.1"


def _configuration(server: Server, folder: Path, port: int, refuses: bool) -> str:
    ignored = "extra_float_digits" if refuses else "extra_float_digits, options"
    return f"""[databases]
* = host={server.socket_directory} port={server.port}
[pgbouncer]
listen_addr = {HOST}
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users.txt
pool_mode = transaction
default_pool_size = 1
ignore_startup_parameters = {ignored}
logfile = {folder}/log
pidfile = {folder}/pid
"""


@contextlib.contextmanager
def bouncer(server: Server, users: list[str], *, refuses: bool = False) -> Iterator[int]:
    """Run it, one session of the server's for each user and database; yields its port on HOST.

    users: who may come, without a password. refuses: whether a first packet with settings ends a connection,
    as it does by default; otherwise they are passed over.
    """
    assert PROGRAM is not None
    folder = Path(tempfile.mkdtemp(prefix="onevault-bouncer-"))
    accounts.give(folder, server.cluster.account)
    port = free_port()
    (folder / "users.txt").write_text("".join(f'"{user}" ""\n' for user in users))
    (folder / "ini").write_text(_configuration(server, folder, port, refuses))
    process = accounts.start(
        [PROGRAM, str(folder / "ini")],
        account=server.cluster.account,
        env=accounts.clean_environment(),
        cwd="/",
    )
    try:

        def answers() -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(f"host={HOST} port={port} dbname=postgres user={users[0]}").close()
                return True
            return False

        poll(answers, 20, "pgbouncer")
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)
