"""The door under the hammer, in small; tests/bench/bench_door.py does it ten thousand times."""

from __future__ import annotations

from tests.support import doors, hammer
from tests.support.servers import Server


def test_no_wrong_session_is_ever_signalled_and_every_attempt_is_on_record(
    server: Server, vault_db: str
) -> None:
    doors.prepare(server, vault_db)
    tally = hammer.run(vault_db, 120)
    signalled = hammer.really_signalled(server.log_directory)
    assert signalled <= tally.meant, "sessions were signalled that nobody meant"
    assert signalled <= hammer.signals_by_door(vault_db)
    assert hammer.recorded(vault_db) >= sum(tally.attempts.values())
    allowed = {
        "other backend_start": {"other_session"},
        # the kernel may give the pid again by itself
        "ended": {"already_gone", "other_session"},
        "pid reused": {"other_session", "pid not given again"},
        "other transaction": {"other_transaction"},
        "waiters gone": {"no_longer_blocks"},
        "uncommitted": {"request_not_committed", "request_not_committed, unknown_request"},
        "no right": {"no_right"},
        "other statement": {"other_statement", "nothing_to_cancel", "request_refused"},
        "ending meanwhile": {"terminated", "already_gone", "no_longer_blocks", "other_session"},
        "the right one": {"terminated"},
    }
    for kind, code in tally.outcomes:
        assert code in allowed[kind], (kind, code)
    assert tally.outcomes["the right one", "terminated"] > 0
