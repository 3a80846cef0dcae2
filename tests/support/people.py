"""People with roles, browsers of theirs, and the vault as the application's own login sees it."""

from __future__ import annotations

from django.contrib.auth.models import Group, User
from django.core.cache import cache
from django.db import connections
from django.test import Client

from lockmon.groups import ADMINS, READERS, ensure_groups
from tests.support.vaults import APP_LOGIN, APP_PASSWORD

ROLES = ("anonymous", "outsider", "viewer", "dba", "superuser")


def person(role: str) -> User | None:
    """Make the person of a role: None for anonymous; an outsider may enter the admin and has no group."""
    if role == "anonymous":
        return None
    ensure_groups()
    user = User.objects.create_user(
        role, password="only-for-tests", is_staff=True, is_superuser=role == "superuser"
    )
    if role in ("viewer", "dba"):
        user.groups.add(Group.objects.get(name=READERS if role == "viewer" else ADMINS))
    return user


def browser(role: str) -> Client:
    """Return a client that is logged in as a person of this role."""
    client = Client()
    user = person(role)
    if user is not None:
        client.force_login(user)
    return client


def use_app_login(alias: str = "vault") -> None:
    """Let the alias use the application's login, so that a test proves its rights too."""
    cache.clear()  # sums of another test's vault
    connection = connections[alias]
    connection.close()
    connection.settings_dict.update({"USER": APP_LOGIN, "PASSWORD": APP_PASSWORD})
