"""Settings of the tests: those of the embedded PostgreSQL, whatever the caller's environment says.

tests/conftest.py points both aliases to the throwaway cluster before a test touches them.
"""

from __future__ import annotations

import os

for _name in (
    "DATABASE_URL",
    "VAULT_DATABASE_URL",
    "VAULT_MONITOR_DATABASE_URL",
    "VAULT_ADMIN_DATABASE_URL",
    "VAULT_SITE_DATABASE_URL",
    "REDIS_URL",
    "ALLOWED_HOSTS",
    "DEBUG",
    "HTTPS_ONLY",
    "TIME_ZONE",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "MAIL_HOST",
    "ONEVAULT_LOCAL",
    "STATIC_ROOT",
    "BEHIND_PROXY",
    "TRUSTED_PROXIES",
    "LOGIN_FAILURES",
    "LOGIN_FAILURES_ADDRESS",
    "LOGIN_LOCK_MINUTES",
    "SESSION_IDLE_MINUTES",
):
    os.environ.pop(_name, None)
os.environ["CONN_MAX_AGE"] = "0"
os.environ["SECRET_KEY"] = "only-for-tests-" * 4

from onevault.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STATIC_ROOT = BASE_DIR / "lockmon" / "static"  # noqa: F405
WHITENOISE_USE_FINDERS = True
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
