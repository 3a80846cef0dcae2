"""Django's settings, from the environment, secure unless said otherwise.

With no variable set this is the monitor of `make run`: embedded PostgreSQL, pages on this machine only.
docs/ lists the variables. A wrong one raises ImproperlyConfigured with one sentence.
"""

from __future__ import annotations

import contextlib
import secrets
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from django.core.exceptions import ImproperlyConfigured

from onevault import databases, env, logs, proxies

BASE_DIR = Path(__file__).resolve().parent.parent

# Where `make run` keeps its PostgreSQL, passwords and collected static files.
LOCAL_DIR = env.folder("ONEVAULT_LOCAL", BASE_DIR / ".local")

# --- databases ---
_databases = databases.read(LOCAL_DIR)
DATABASES = _databases.databases
EMBEDDED = _databases.embedded
WEB_SCHEMA = _databases.web_schema
WEB_TABLES_SCHEMA = _databases.tables_schema
WEB_PLACE = _databases.place
VAULT_ALIASES = ["vault"]
# Own logins for the loop ("monitor") and the admin work ("admin"), per vault alias; see lockmon/vault.py.
VAULT_DIRECT = _databases.direct
for _alias, _logins in VAULT_DIRECT.items():
    if "admin" in _logins:
        DATABASES[f"{_alias}_admin"] = _logins["admin"]
DATABASE_ROUTERS = ["onevault.router.VaultRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- security ---
DEBUG = env.flag("DEBUG", False)


def _secret_key() -> tuple[str, bool]:
    """SECRET_KEY, or that of `make run`, or one that this process alone has; whether others have it, too."""
    if key := env.text("SECRET_KEY"):
        if len(key) < 32 and not DEBUG:
            raise ImproperlyConfigured(
                "SECRET_KEY is shorter than 32 characters: make a longer one with 'openssl rand -hex 32'."
            )
        return key, True
    kept = ""
    # what cannot be read, or is no text, is no key
    with contextlib.suppress(OSError, UnicodeDecodeError):
        kept = (LOCAL_DIR / "secret_key").read_text(encoding="utf-8").strip()
    return kept or secrets.token_hex(32), bool(kept)


# Commands need none. What others must be able to check, a web session, a link, a task of the queue, does:
# see lockmon/keys.py.
SECRET_KEY, SECRET_KEY_SHARED = _secret_key()
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")
for _origin in CSRF_TRUSTED_ORIGINS:
    if urlsplit(_origin).scheme not in ("http", "https") or not urlsplit(_origin).netloc:
        raise ImproperlyConfigured(
            f"CSRF_TRUSTED_ORIGINS has {_origin!r}: say https://host, with the scheme."
        )

# Only pages on this very machine may do without TLS.
HTTPS_ONLY = env.flag("HTTPS_ONLY", not (EMBEDDED or DEBUG))
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS_ONLY
SECURE_SSL_REDIRECT = HTTPS_ONLY
SECURE_HSTS_SECONDS = env.number("HSTS_SECONDS", 31_536_000 if HTTPS_ONLY else 0, 0, 63_072_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.flag("HSTS_INCLUDE_SUBDOMAINS", False)
SECURE_REFERRER_POLICY = "same-origin"
BEHIND_PROXY = env.flag("BEHIND_PROXY", False)
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# Whose X-Forwarded-For is believed; without a proxy nobody's.
TRUSTED_PROXIES = proxies.networks(env.words("TRUSTED_PROXIES", proxies.THIS_HOST if BEHIND_PROXY else ()))
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
# A session ends so many hours after it began, and after so many minutes in which nobody used it.
SESSION_COOKIE_AGE = env.number("SESSION_HOURS", 12, 1, 720) * 3600
SESSION_IDLE_MINUTES = env.number("SESSION_IDLE_MINUTES", 60, 1, 43_200)
X_FRAME_OPTIONS = "DENY"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# Failed logins that are let pass: of one account from one address, and of all accounts from one address. Then
# both are refused until this long after the last one.
LOGIN_FAILURES = env.number("LOGIN_FAILURES", 5, 1, 1000)
LOGIN_FAILURES_ADDRESS = env.number("LOGIN_FAILURES_ADDRESS", max(30, LOGIN_FAILURES), 1, 100_000)
LOGIN_LOCK_MINUTES = env.number("LOGIN_LOCK_MINUTES", 15, 1, 1440)
if LOGIN_FAILURES_ADDRESS < LOGIN_FAILURES:
    raise ImproperlyConfigured(
        f"LOGIN_FAILURES_ADDRESS is {LOGIN_FAILURES_ADDRESS}: say at least LOGIN_FAILURES ({LOGIN_FAILURES})."
    )
AUTHENTICATION_BACKENDS = ["lockmon.logins.Guard", "django.contrib.auth.backends.ModelBackend"]
AXES_HANDLER = "lockmon.logins.Handler"
AXES_FAILURE_LIMIT = LOGIN_FAILURES
AXES_COOLOFF_TIME = timedelta(minutes=LOGIN_LOCK_MINUTES)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_CLIENT_IP_CALLABLE = "onevault.proxies.client_address"
AXES_USERNAME_CALLABLE = "lockmon.logins.counted_name"
AXES_LOCKOUT_CALLABLE = "lockmon.logins.locked_response"
AXES_DISABLE_ACCESS_LOG = True  # a table of logins that worked, which would grow for ever
AXES_ENABLE_ADMIN = False  # lockmon_unlock shows what is locked

# --- application ---
INSTALLED_APPS = [
    "lockmon",
    "lockmon.admin_config.LockmonAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_tables2",
    "django_q",
    "axes",
]
MIDDLEWARE = [
    # before the Host header is looked at, and before any session
    "lockmon.standing.probes.probes",
    "django.middleware.security.SecurityMiddleware",
    "onevault.security.security_headers",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "lockmon.zones.reader_zone",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    # behind the two that say who asks; before any reader of a body (see onevault/bodies.py)
    "onevault.bodies.limit_bodies",
    "lockmon.sessions.IdleSessions",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
    "lockmon.standing.pages.Standing",
]
CSRF_FAILURE_VIEW = "lockmon.standing.pages.csrf_failure"
ROOT_URLCONF = "onevault.urls"
WSGI_APPLICATION = "onevault.wsgi.application"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

# --- static files ---
STATIC_URL = "/static/"
STATIC_ROOT = env.folder("STATIC_ROOT", LOCAL_DIR / "static")
STATICFILES_DIRS = [folder for folder in [BASE_DIR / "static"] if folder.is_dir()]
# Hashed names once `collectstatic` has run; before that (development, tests) from the source folders.
_collected = (STATIC_ROOT / "staticfiles.json").is_file() and not DEBUG
WHITENOISE_USE_FINDERS = not _collected
WHITENOISE_MANIFEST_STRICT = False
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if _collected or env.flag("COLLECT_STATIC", False)
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# --- language and time ---
LANGUAGE_CODE = "en"
USE_I18N = True
USE_TZ = True
TIME_ZONE = env.text("TIME_ZONE", "UTC")
if TIME_ZONE not in available_timezones():
    raise ImproperlyConfigured(f"TIME_ZONE is {TIME_ZONE!r}: say a name such as Europe/Berlin or UTC.")

# --- tasks ---
# A task takes seconds; the loop, where no process is one, two minutes (lockmon/monitor/loop.py); a cleanup
# after months much longer: cut off at `timeout`, the next one goes on where it was. `retry` must be longer
# still, or a task that still runs would be delivered twice.
REDIS_URL = env.text("REDIS_URL")
Q_CLUSTER = {
    "name": "onevault",
    "label": "Task queue",
    "workers": env.number("Q_WORKERS", 4, 3, 64),
    "timeout": 1200,
    "retry": 1500,
    "max_attempts": 1,
    "ack_failures": True,
    "catch_up": False,
    # Results that are kept of each kind of task. All of a kind are read in the transaction that stores one
    # more, for which every other writer of SQLite waits.
    "save_limit": 100,
    "save_limit_per": "func",
    "queue_limit": 50,
    "poll": 0.5,
} | ({"redis": REDIS_URL} if REDIS_URL else {"orm": "default"})
if REDIS_URL and urlsplit(REDIS_URL).scheme not in ("redis", "rediss", "unix"):
    raise ImproperlyConfigured("REDIS_URL must begin with redis://, rediss:// or unix://.")

# --- report ---
# Who gets the weekly report by mail; nobody: it is in the admin all the same.
REPORT_RECIPIENTS = env.words("REPORT_RECIPIENTS")

# --- server logs ---
# The largest file that the page "Import a server log" takes. No other page takes one (onevault/bodies.py).
LOG_UPLOAD_MB = env.number("LOG_UPLOAD_MB", 64, 1, 4096)
FILE_UPLOAD_HANDLERS = ["lockmon.uploads.NoFiles"]
DATA_UPLOAD_MAX_NUMBER_FILES = 1
# A log file, or a pattern with *, that the task queue can read and follows; empty: none.
LOCKMON_LOCAL_LOG = env.text("LOCKMON_LOCAL_LOG")

# --- metrics ---
# Whoever bears it may read /metrics; without one only this host may.
METRICS_TOKEN = env.text("METRICS_TOKEN")

# --- mail ---
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.text("MAIL_FROM", "onevault@localhost")
EMAIL_HOST = env.text("MAIL_HOST")
EMAIL_PORT = env.number("MAIL_PORT", 587, 1, 65_535)
EMAIL_HOST_USER = env.text("MAIL_USER")
EMAIL_HOST_PASSWORD = env.text("MAIL_PASSWORD")
EMAIL_USE_TLS = env.flag("MAIL_TLS", True)
EMAIL_TIMEOUT = 10
# Without a mail server messages go to the log's stream instead of nowhere.
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'console'}.EmailBackend"

# --- logging ---
LOGGING = logs.configuration(
    env.choice("LOG_FORMAT", "text", ("text", "json")),
    env.choice("LOG_LEVEL", "info", ("debug", "info", "warning", "error")).upper(),
)
