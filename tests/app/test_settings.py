"""Settings: secure unless said otherwise, and one sentence for each mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lockmon.monitor.loop import TASK_LIFE

PROJECT = Path(__file__).resolve().parent.parent.parent
KEY = "k" * 40
VAULT = "postgresql://app:secret@db.example:5433/one_vault"

_SHOW = """
import json, sys
from django.conf import settings
names = sys.argv[1:]
print(json.dumps({name: getattr(settings, name) for name in names}, default=str))
"""


def start(environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the project with nothing but this environment."""
    base = {
        "PATH": "/usr/bin:/bin",
        "DJANGO_SETTINGS_MODULE": "onevault.settings",
        "ONEVAULT_LOCAL": "/nonexistent/x",
    }
    return subprocess.run(
        [sys.executable, *command],
        cwd=PROJECT,
        env=base | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def settings(environment: dict[str, str], *names: str) -> dict[str, Any]:
    """The named settings under this environment."""
    done = start(environment, "-c", _SHOW, *names)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def complaint(environment: dict[str, str]) -> str:
    """What manage.py says about this environment: one line, exit code 2, no traceback."""
    done = start(environment, "manage.py", "check")
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.strip().count("\n") == 0, done.stderr
    assert done.stderr.strip().endswith(".")
    return done.stderr.strip()


def test_nothing_set_means_the_embedded_postgresql_with_two_databases() -> None:
    found = settings({}, "DATABASES", "EMBEDDED", "DEBUG", "ALLOWED_HOSTS", "SECRET_KEY")
    assert found["EMBEDDED"] is True
    assert found["DATABASES"]["default"]["NAME"] == "onevault_web"
    assert found["DATABASES"]["vault"]["NAME"] == "one_vault"
    assert found["DATABASES"]["vault"]["HOST"] == "127.0.0.1"
    assert found["DEBUG"] is False
    assert found["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]
    assert len(found["SECRET_KEY"]) >= 50


def test_both_urls_name_two_databases() -> None:
    web = "postgresql://web:pw@other.example/web"
    found = settings(
        {"SECRET_KEY": KEY, "DATABASE_URL": web, "VAULT_DATABASE_URL": VAULT}, "DATABASES", "WEB_SCHEMA"
    )
    assert found["DATABASES"]["default"]["HOST"] == "other.example"
    assert found["DATABASES"]["vault"]["PORT"] == 5433
    assert found["WEB_SCHEMA"] is None


def test_only_a_vault_puts_djangos_tables_into_a_schema_there() -> None:
    found = settings({"SECRET_KEY": KEY, "VAULT_DATABASE_URL": VAULT}, "DATABASES", "WEB_SCHEMA")
    assert found["WEB_SCHEMA"] == "onevault_web"
    assert found["DATABASES"]["default"]["NAME"] == "one_vault"
    assert "search_path=onevault_web" in found["DATABASES"]["default"]["OPTIONS"]["options"]
    assert "search_path" not in found["DATABASES"]["vault"]["OPTIONS"]["options"]


def test_a_database_of_ones_own_means_secure_cookies_and_https() -> None:
    names = ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT", "SECURE_HSTS_SECONDS")
    found = settings({"SECRET_KEY": KEY, "VAULT_DATABASE_URL": VAULT}, *names)
    assert found == {
        "SESSION_COOKIE_SECURE": True,
        "CSRF_COOKIE_SECURE": True,
        "SECURE_SSL_REDIRECT": True,
        "SECURE_HSTS_SECONDS": 31_536_000,
    }


def test_the_monitor_and_the_admin_work_may_have_logins_of_their_own() -> None:
    environment = {
        "SECRET_KEY": KEY,
        "VAULT_DATABASE_URL": VAULT,
        "VAULT_MONITOR_DATABASE_URL": VAULT.replace("app:", "loop:"),
        "VAULT_ADMIN_DATABASE_URL": VAULT.replace("app:", "boss:"),
    }
    found = settings(environment, "DATABASES", "VAULT_DIRECT")
    assert found["VAULT_DIRECT"]["vault"]["monitor"]["USER"] == "loop"
    assert found["DATABASES"]["vault_admin"]["USER"] == "boss"
    assert found["DATABASES"]["vault"]["USER"] == "app"


def test_retry_is_longer_than_timeout_is_longer_than_a_task_that_watches() -> None:
    found = settings({}, "Q_CLUSTER")["Q_CLUSTER"]
    assert found["retry"] > found["timeout"] > TASK_LIFE
    assert found["orm"] == "default"


def test_redis_takes_the_queue_when_it_is_named() -> None:
    found = settings({"REDIS_URL": "redis://queue.example/0"}, "Q_CLUSTER")["Q_CLUSTER"]
    assert found["redis"] == "redis://queue.example/0"
    assert "orm" not in found


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"DATABASE_URL": "postgresql://u@h/x"}, "VAULT_DATABASE_URL is not"),
        ({"VAULT_DATABASE_URL": VAULT, "SECRET_KEY": "short"}, "SECRET_KEY is shorter than 32"),
        (
            {"VAULT_DATABASE_URL": "mysql://u@h/x", "SECRET_KEY": KEY},
            "VAULT_DATABASE_URL begins with 'mysql'",
        ),
        (
            {"VAULT_DATABASE_URL": "one_vault", "SECRET_KEY": KEY},
            "VAULT_DATABASE_URL begins with 'one_vault'",
        ),
        (
            {"VAULT_DATABASE_URL": "postgresql://u@h", "SECRET_KEY": KEY},
            "VAULT_DATABASE_URL names no database",
        ),
        (
            {"VAULT_DATABASE_URL": "postgresql://u@h:xy/d", "SECRET_KEY": KEY},
            "VAULT_DATABASE_URL cannot be read",
        ),
        (
            {
                "VAULT_DATABASE_URL": VAULT,
                "SECRET_KEY": KEY,
                "VAULT_ADMIN_DATABASE_URL": "postgresql://boss@elsewhere/one_vault",
            },
            "VAULT_ADMIN_DATABASE_URL names another database",
        ),
        ({"DEBUG": "perhaps"}, "DEBUG is 'perhaps'"),
        ({"Q_WORKERS": "many"}, "Q_WORKERS is 'many'"),
        ({"Q_WORKERS": "0"}, "Q_WORKERS is '0'"),
        ({"TIME_ZONE": "Mars/Olympus"}, "TIME_ZONE is 'Mars/Olympus'"),
        ({"LOG_FORMAT": "xml"}, "LOG_FORMAT is 'xml'"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL is 'loud'"),
        ({"REDIS_URL": "http://queue"}, "REDIS_URL must begin"),
        ({"CSRF_TRUSTED_ORIGINS": "monitor.example"}, "CSRF_TRUSTED_ORIGINS has 'monitor.example'"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_it(environment: dict[str, str], words: str) -> None:
    assert words in complaint(environment)


def test_passwords_never_stand_in_a_complaint() -> None:
    said = complaint({"VAULT_DATABASE_URL": "postgresql://u:hush-hush@h:xy/d", "SECRET_KEY": KEY})
    assert "hush" not in said


def test_migrating_a_vault_is_refused_with_a_sentence() -> None:
    done = start({}, "manage.py", "migrate", "--database", "vault")
    assert done.returncode == 1
    assert "lockmon_deploy" in done.stderr
    assert done.stderr.strip().count("\n") == 0


def test_log_lines_are_json_when_asked_for() -> None:
    script = "import django, logging; django.setup()"
    script += "; logging.getLogger('lockmon').info('two\\nlines', extra={'n': 2})"
    done = start({"LOG_FORMAT": "json"}, "-c", script)
    line = json.loads(done.stderr)
    assert (line["level"], line["logger"], line["message"], line["n"]) == ("INFO", "lockmon", "two\nlines", 2)


def test_a_message_stays_on_one_line_of_a_text_log() -> None:
    script = (
        "import django, logging; django.setup(); logging.getLogger('lockmon').warning('CRITICAL\\nforged')"
    )
    done = start({}, "-c", script)
    assert done.stderr.strip().endswith("WARNING lockmon: CRITICAL\\nforged")


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_refused_request_is_a_line_without_our_code(form: str) -> None:
    script = (
        "import django; django.setup(); from django.test import Client;"
        " client = Client(raise_request_exception=False);"
        " print(client.get('/admin/', headers={'host': 'evil.example'}).status_code)"
    )
    done = start({"LOG_FORMAT": form}, "-c", script)
    assert done.stdout.strip() == "400"
    assert "evil.example" in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr) < 1000
