"""Databases with the vault, and Django's aliases that lead to them."""

from __future__ import annotations

from django.db import connections

from lockmon.install import connect, grant_login, install_on
from onevault.embedded.cluster import SUPERUSER
from tests.support.servers import Server

# The application's login, as sites have it: the reading role by default, the admin role on purpose.
APP_LOGIN = "onevault_app"
APP_PASSWORD = "only-for-tests"


def install(dsn: str) -> None:
    """Install sql/ into the database of this DSN, as its superuser, and let the application's login in."""
    with connect(dsn) as connection:
        install_on(connection)
        grant_login(connection, APP_LOGIN, APP_PASSWORD)
        # Copies of a database do not take its "IN DATABASE" settings along.
        connection.execute(f"ALTER ROLE {APP_LOGIN} SET role = 'lock_monitoring_role'")


def point_alias(alias: str, server: Server, name: str, user: str = SUPERUSER) -> str:
    """Let a Django alias lead to another database of the throwaway cluster; returns the former name."""
    connection = connections[alias]
    if connection.in_atomic_block:
        raise AssertionError(
            f"the alias {alias} is within the test's own transaction: say "
            "@pytest.mark.django_db(transaction=True, databases=['default', 'vault'])"
        )
    connection.close()
    before = str(connection.settings_dict["NAME"])
    place = {
        "HOST": str(server.socket_directory),
        "PORT": server.port,
        "USER": user,
        "PASSWORD": "",
        "NAME": name,
    }
    connection.settings_dict.update(place)
    return before
