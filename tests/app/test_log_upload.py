"""Importing a server log on its page: once, by admins alone, one sentence for what is wrong; and following
a local one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django_q.models import Schedule

from lockmon import tasks
from lockmon.monitor.logs import LogFileError, newest
from lockmon.schedules import LOCAL_LOG, PLANS, ensure_schedules
from tests.app.test_log_files import OTHER, RECORD
from tests.support.people import ROLES, browser, person, use_app_login

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

PAGE = "/admin/lockmon/deadlockevent/import-log/"
LIST = "/admin/lockmon/deadlockevent/"
ONE = (OTHER + RECORD.format(second=1, pid=11)).encode()
STDERR = b"""\
2026-11-20 04:00:00.500 UTC [7] ERROR:  deadlock detected
2026-11-20 04:00:00.500 UTC [7] DETAIL:  Process 7 waits for ShareLock on transaction 5; blocked by process 8.
\tProcess 8 waits for ShareLock on transaction 6; blocked by process 7.
\tProcess 7: UPDATE a SET n = 1
\tProcess 8: UPDATE b SET n = 2
2026-11-20 04:00:00.500 UTC [7] HINT:  See server log for query details.
2026-11-20 04:00:00.500 UTC [7] STATEMENT:  UPDATE a SET n = 1
"""


def upload(client: Client, content: bytes, name: str = "server.csv", **more: str) -> Any:
    """Send a file and follow to the page that tells the result."""
    return client.post(PAGE, {"file": SimpleUploadedFile(name, content), **more}, follow=True)


def sentences(answer: Any) -> list[str]:
    """Return what the page says of the import: its messages and the form's errors."""
    said = [str(message) for message in answer.context["messages"]]
    form = answer.context["form"]
    return said + [str(text) for errors in form.errors.values() for text in errors]


def stored(dsn: str) -> tuple[int, int]:
    """Return how many deadlocks and how many records of the log the vault has."""
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "SELECT (SELECT count(*) FROM lock_monitoring.deadlock_event_h),"
            " (SELECT count(*) FROM lock_log.event)"
        ).fetchone()
    assert found is not None
    return found


def test_a_deadlock_appears_once_however_often_its_log_is_sent(vault_db: str) -> None:
    use_app_login()
    dba = browser("dba")
    [first] = sentences(upload(dba, ONE))
    assert re.fullmatch(
        r"Import of server\.csv \(csvlog\): 1 new record about locks in [\d,]+ bytes,"
        r" 1 new deadlock in the history\.",
        first,
    )
    [second] = sentences(upload(dba, ONE))
    assert "0 new records" in second and "0 new deadlocks" in second and "read on from byte" in second
    [renamed] = sentences(upload(dba, ONE, "copy.csv"))
    assert "0 new records" in renamed and "0 new deadlocks" in renamed
    assert stored(vault_db) == (1, 1)
    shown = dba.get(LIST + "?when=any").content.decode()
    assert ">11</a>" in shown and ">12</a>" in shown


def test_who_sends_it_by_script_is_told_on_the_page_that_follows(vault_db: str) -> None:
    use_app_login()
    client = browser("dba")
    file = {"file": SimpleUploadedFile("server.csv", ONE)}
    answer = client.post(PAGE, file, headers={"X-Lockmon-Upload": "1"})
    assert (answer.status_code, answer.content) == (204, b"")
    assert ["1 new deadlock in the history" in text for text in sentences(client.get(PAGE))] == [True]
    refused = client.post(PAGE, {}, headers={"X-Lockmon-Upload": "1"})
    assert refused.status_code == 200 and sentences(refused) == ["Choose a file."]


def test_a_log_that_has_grown_is_read_on(vault_db: str) -> None:
    use_app_login()
    dba = browser("dba")
    upload(dba, ONE)
    [said] = sentences(upload(dba, ONE + RECORD.format(second=2, pid=21).encode()))
    assert "1 new record " in said and "1 new deadlock " in said
    assert stored(vault_db) == (2, 2)


def test_a_stderr_log_needs_its_prefix(vault_db: str) -> None:
    use_app_login()
    dba = browser("dba")
    [wrong] = sentences(upload(dba, STDERR, "server.log", log_line_prefix="%u "))
    assert "lacks the time (%m) or the process (%p)" in wrong
    [said] = sentences(upload(dba, STDERR, "server.log", log_line_prefix="%m [%p] "))
    assert "(stderr): 1 new record about locks, 1 of them claimed, in " in said
    assert "0 new deadlocks " in said and "Claimed: whoever may run statements can write the same" in said
    assert stored(vault_db) == (0, 1)


def test_nothing_of_the_file_but_its_records_about_locks_is_kept(
    vault_db: str, tmp_path: Path, settings: Any
) -> None:
    use_app_login()
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 100
    assert "1 new deadlock " in sentences(upload(browser("dba"), ONE))[0]
    assert list(tmp_path.iterdir()) == []
    with psycopg.connect(vault_db) as connection:
        assert "secret" not in str(connection.execute("SELECT e::text FROM lock_log.event e").fetchall())


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (bytes(range(256)) * 40, "The uploaded file server.csv is not a PostgreSQL log"),
        (b"127.0.0.1 - GET /index.html 200\n", "The uploaded file server.csv is not a PostgreSQL log"),
        (b"", "The uploaded file server.csv is empty."),
    ],
)
def test_what_is_no_log_is_said_in_one_sentence(vault_db: str, content: bytes, sentence: str) -> None:
    use_app_login()
    answer = upload(browser("dba"), content)
    [said] = sentences(answer)
    assert said.startswith(sentence)
    assert answer.status_code == 200
    assert stored(vault_db) == (0, 0)


def test_no_file_at_all_is_said(vault_db: str) -> None:
    assert sentences(browser("dba").post(PAGE)) == ["Choose a file."]


@pytest.mark.parametrize("in_memory", [100, 2621440])
def test_a_file_beyond_the_limit_is_dropped_and_said(
    vault_db: str, tmp_path: Path, settings: Any, in_memory: int
) -> None:
    use_app_login()
    settings.LOG_UPLOAD_MB = 1
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = in_memory
    dba = browser("dba")
    [said] = sentences(upload(dba, ONE + OTHER.encode() * (1024**2 // len(OTHER))))
    assert said.startswith("The file is larger than 1 MB:") and "lockmon_read_log" in said
    assert stored(vault_db) == (0, 0)
    assert list(tmp_path.iterdir()) == []
    just_fits = (ONE + OTHER.encode() * (1024**2 // len(OTHER)))[: 1024**2]
    assert "1 new deadlock " in sentences(upload(dba, just_fits))[0]


def test_who_may(vault_db: str) -> None:
    use_app_login()
    found = {}
    for role in ROLES:
        client = browser(role)
        posted = client.post(PAGE, {"file": SimpleUploadedFile("server.csv", ONE)})
        found[role] = (client.get(PAGE).status_code, posted.status_code)
        if role != "anonymous":
            listed = client.get(LIST).content.decode()
            assert ("Import a server log" in listed) == (role in ("dba", "superuser")), role
        if role == "viewer":
            assert stored(vault_db) == (0, 0)
    assert found == {
        "anonymous": (302, 302),
        "outsider": (403, 403),
        "viewer": (403, 403),
        "dba": (200, 302),
        "superuser": (200, 302),
    }


def test_a_post_without_token_is_refused_and_the_page_has_nothing_inline(vault_db: str) -> None:
    client = Client(enforce_csrf_checks=True)
    user = person("dba")
    assert user is not None
    client.force_login(user)
    assert client.post(PAGE, {"file": SimpleUploadedFile("server.csv", ONE)}).status_code == 403
    assert stored(vault_db) == (0, 0)
    text = client.get(PAGE).content.decode()
    assert "csrfmiddlewaretoken" in text
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text)


def test_a_local_log_is_followed_where_one_is_named(vault_db: str, tmp_path: Path, settings: Any) -> None:
    use_app_login()
    Schedule.objects.all().delete()
    assert len(ensure_schedules()) == len(PLANS)
    assert tasks.follow_log("vault").startswith("LOCKMON_LOCAL_LOG is not set")
    path = tmp_path / "server.csv"
    settings.LOCKMON_LOCAL_LOG = str(path)
    assert ensure_schedules() == [LOCAL_LOG.name("vault")]
    assert "does not exist" in tasks.follow_log("vault")
    path.write_bytes(ONE)
    assert tasks.follow_log("vault").startswith("1 new records")
    assert tasks.follow_log("vault").startswith("0 new records")
    with path.open("a") as stream:
        stream.write(RECORD.format(second=2, pid=21))
    path.rename(tmp_path / "server.csv.1")
    path.write_text(RECORD.format(second=3, pid=31))
    settings.LOCKMON_LOCAL_LOG = str(tmp_path / "server.csv*")
    assert tasks.follow_log("vault").startswith("2 new records")
    assert stored(vault_db) == (3, 3)


def test_a_pattern_without_files_is_said(tmp_path: Path) -> None:
    with pytest.raises(LogFileError, match="No file matches"):
        newest(str(tmp_path / "*.csv"))


def test_a_log_in_another_time_zone_is_read_once_its_zone_is_said(vault_db: str) -> None:
    """Its times were guessed before, wrong by hours; what did not fit is read again with the right zone."""
    use_app_login()
    dba = browser("dba")
    log = ONE.replace(b" UTC", b" IST")
    [told] = sentences(upload(dba, log))
    assert "was not read." in told and 'Times in "IST" are not known' in told and "log_timezone" in told
    assert sentences(upload(dba, log)) == [told], "no reason to go on from its end"
    assert stored(vault_db) == (0, 0)
    [wrong] = sentences(upload(dba, log, time_zone="Mars/Olympus"))
    assert wrong.startswith('Time zone "Mars/Olympus" is unknown')
    [done] = sentences(upload(dba, log, time_zone="Asia/Kolkata"))
    assert "1 new record" in done and "1 new deadlock" in done and "not known" not in done
    [again] = sentences(upload(dba, log, time_zone="Asia/Kolkata"))
    assert "0 new records" in again and "read on from byte" in again
    assert stored(vault_db) == (1, 1)


def test_a_log_with_another_prefix_is_not_nothing_new(vault_db: str) -> None:
    use_app_login()
    dba = browser("dba")
    [told] = sentences(upload(dba, STDERR, "server.log", log_line_prefix="%m [%p] %a "))
    assert "was not read." in told and "of 4 lines that look like the beginning of a record 0 have it" in told
    assert sentences(upload(dba, STDERR, "server.log", log_line_prefix="%m [%p] %a ")) == [told]
    assert stored(vault_db) == (0, 0)
    [done] = sentences(upload(dba, STDERR, "server.log", log_line_prefix="%m [%p] "))
    assert "1 new record" in done and "does not fit" not in done
