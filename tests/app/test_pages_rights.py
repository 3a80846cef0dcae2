"""Role by page: the status of each, and what differs on a page; see test_rights_matrix for the rest."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group

from lockmon.groups import ADMINS, READERS, ensure_groups
from tests.support import scenes
from tests.support.people import ROLES, browser, use_app_login

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

MISSING = "00" * 32

# page: what a viewer and a dba get; an outsider gets 403, anonymous is sent to the login
PAGES = {
    "/admin/": 200,
    "/admin/monitor/overview/fragment/": 200,
    "/admin/monitor/live/": 200,
    "/admin/monitor/live/fragment/": 200,
    "/admin/monitor/waiters/": 200,
    "/admin/monitor/session/?node=1": 200,
    "/admin/monitor/time/": 200,
    "/admin/monitor/time/fragment/": 200,
    f"/admin/monitor/episode/{MISSING}/": 404,
    f"/admin/monitor/deadlock/{MISSING}/": 404,
    "/admin/monitor/insight/": 200,
    "/admin/monitor/everything/": 200,
    "/admin/monitor/check/": 200,
    "/admin/lockmon/lockactivity/": 200,
    "/admin/lockmon/blockingsession/": 200,
    "/admin/lockmon/deadlockevent/": 200,
    "/admin/lockmon/lockwaitanalysis/": 200,
    "/admin/lockmon/lockactivity/export/csv/": 200,
    "/admin/lockmon/blockingsession/export/json/": 200,
    "/admin/lockmon/deadlockevent/export/xlsx/": 200,
    "/admin/lockmon/lockwaitanalysis/export/csv/": 200,
}


@pytest.mark.slow
def test_role_by_page(vault_db: str) -> None:
    use_app_login()
    wrong = []
    for role in ROLES:
        client = browser(role)
        for path, found in PAGES.items():
            if role == "anonymous":
                wanted = 302
            elif role == "outsider":
                wanted = 200 if path == "/admin/" else 403
            else:
                wanted = found
            answer = client.get(path)
            status = answer.status_code
            answer.close()
            if status != wanted:
                wrong.append(f"{role} {path}: {status}, not {wanted}")
    assert wrong == []


def test_an_outsider_sees_nothing_of_the_monitor(vault_db: str) -> None:
    page = browser("outsider").get("/admin/").content.decode()
    assert "Live tree" not in page and "waiting" not in page


def test_posting_to_a_page_changes_nothing(vault_db: str) -> None:
    client = browser("viewer")
    for path in PAGES:
        answer = client.post(path)
        answer.close()
        assert answer.status_code in (200, 302, 403, 404, 405), path


def test_a_viewer_has_no_button_to_stop_and_no_query_search(vault_db: str, session: object) -> None:
    use_app_login()
    scenes.make_tables(vault_db)
    root, _ = scenes.row_queue(vault_db, session, 1)  # type: ignore[arg-type]
    assert "Stop…" not in browser("viewer").get("/admin/monitor/live/").content.decode()
    scenes.cycle(vault_db)
    secret = "/admin/lockmon/lockactivity/?when=any&q=balance+-+7"
    dba, viewer = browser("dba"), browser("superuser")
    assert f">{root.pid}<" in dba.get(secret).content.decode()
    viewer.logout()
    viewer.force_login(Group.objects.get(name=READERS).user_set.get(username="viewer"))
    assert f">{root.pid}<" not in viewer.get(secret).content.decode()
    assert (
        "balance - 7"
        not in viewer.get("/admin/lockmon/lockactivity/export/json/?when=any").getvalue().decode()
    )
    assert "balance - 7" in dba.get("/admin/lockmon/lockactivity/export/json/?when=any").getvalue().decode()


def test_the_groups_have_their_rights_and_lack_the_others() -> None:
    ensure_groups()
    ensure_groups()
    reading = set(Group.objects.get(name=READERS).permissions.values_list("codename", flat=True))
    admins = set(Group.objects.get(name=ADMINS).permissions.values_list("codename", flat=True))
    assert {"view_pages", "export_history", "view_lockactivity", "view_deadlockevent"} <= reading
    assert not reading & {"view_query_text", "stop_session", "change_settings"}
    assert not {name for name in reading if name.startswith(("add_", "change_", "delete_"))}
    assert reading | {"view_query_text", "stop_session", "change_settings"} <= admins
