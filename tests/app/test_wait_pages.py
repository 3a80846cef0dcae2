"""Pages say of a wait what is known: exactly where the log has it, else between which moments it ended."""

from __future__ import annotations

import re

import pytest

from lockmon.models.activity import LockActivity
from tests.conftest import Connect, OpenSession
from tests.support.people import browser, use_app_login
from tests.support.poll import poll
from tests.support.stored import Stored
from tests.support.tangle import prepare

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

ROW = "UPDATE app.t0 SET n = 1 WHERE id = 1"


@pytest.mark.parametrize("logged", [False, True])
def test_row_and_episode_say_how_long_it_waited(
    vault_db: str, connect: Connect, session: OpenSession, logged: bool
) -> None:
    prepare(vault_db)
    use_app_login()
    stored = Stored(connect(vault_db))
    holder = session(vault_db)
    waiter = session(f"{vault_db} options='-c deadlock_timeout={'50ms' if logged else '1min'}'")
    holder.run(ROW)
    waiter.start(ROW)
    waiter.wait_blocked()
    stored.capture()
    holder.run("COMMIT")
    waiter.result()
    stored.capture()

    def end() -> LockActivity | None:
        stored.capture()
        ends = LockActivity.objects.filter(lock_pid=waiter.pid, lock_granted=False, not_seen_at__isnull=False)
        return ends.get() if not logged or ends.exclude(waited_ms=None).exists() else None

    wait = poll(end, what="the end")
    client = browser("dba")
    page = client.get(f"/admin/lockmon/lockactivity/{wait.pk}/change/").content.decode()
    episode = stored.value(
        "SELECT encode(blocking_session_hk, 'hex') FROM lock_monitoring.blocking_session_s"
        " WHERE session_pid = %s LIMIT 1",
        holder.pid,
    )
    story = client.get(f"/admin/monitor/episode/{episode}/").content.decode()
    if logged:
        assert f"{float(wait.waited_ms or 0) / 1000:.2f} s" in page
        assert "as the server log says" in page and "got the lock" in page
        assert f"{float(wait.waited_ms or 0) / 1000:.2f} s" in story
    else:
        said = re.compile(r"between \d+\.\d and \d+\.\d s")
        assert said.search(page) and said.search(story)
        assert "last seen waiting" in page
