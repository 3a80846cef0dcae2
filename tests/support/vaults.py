"""Databases with the vault, and Django's aliases that lead to them."""

from __future__ import annotations

import subprocess

from django.db import connections

from onevault.embedded import binaries
from onevault.embedded.cluster import SUPERUSER
from tests.support.servers import Server


def install(dsn: str) -> None:
    """Install sql/ into the database of this DSN, as its superuser."""
    try:
        from lockmon.install import install as install_sql
    except ImportError:
        for manifest in ("step_7_lock_monitoring.sql", "step_8_blocking_detection.sql"):
            command = [binaries.client("psql"), "-X", "-q", "-d", dsn, "-f", f"sql/{manifest}"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return
    install_sql(dsn)


def point_alias(alias: str, server: Server, name: str) -> str:
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
        "USER": SUPERUSER,
        "PASSWORD": "",
        "NAME": name,
    }
    connection.settings_dict.update(place)
    return before
