"""The product's settings, with the tests' fast password hashes, for a server that a test has started."""

from onevault.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
