"""Django's PostgreSQL backend: from PostgreSQL 13 on, and with sessions that inherit nothing.

Django 5.2 refuses servers before 14 because their upstream support ends before its own does; what its ORM
sends is the same. The models of the vault are read only and their queries run on 13 in the tests.

Settings: see lockmon.session. Behind a pooler in transaction mode every transaction may be another session,
with whatever the client before left there; so each transaction then begins with them.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import psycopg
from django.db import transaction
from django.db.backends.postgresql import base, features
from psycopg.pq import TransactionStatus

from lockmon import session
from onevault.postgresql import guard


class DatabaseFeatures(features.DatabaseFeatures):
    """What the server can do: as Django says, from 13 on."""

    minimum_database_version = (13,)


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to PostgreSQL 13 or newer.

    shares_sessions: whether the server's session is another than the one that answered the first packet.
    OPTIONS may hold session_options (like libpq's options, but weaker) and session_role.
    """

    features_class = DatabaseFeatures
    # psycopg as Django knows it, whose connections wait for nobody who is silent (see guard)
    Database = SimpleNamespace(**vars(psycopg) | {"connect": guard.Connection.connect})  # type: ignore[assignment]

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.shares_sessions = False
        self.execute_wrappers.append(self._begin_with_settings)

    def get_connection_params(self) -> dict[str, Any]:
        """What psycopg is told; the options of the first packet are added when it connects."""
        parameters: dict[str, Any] = super().get_connection_params()
        for name in ("options", "session_options", "session_role"):
            parameters.pop(name, None)
        return parameters

    def get_new_connection(self, conn_params: dict[str, Any]) -> session.Connection:
        """Connect, or take a connection from Django's pool; its session is told all it relies on."""
        ours = self._session()

        def opening(options: str) -> session.Connection:
            given = conn_params | ({"options": options} if options else {})
            return super(DatabaseWrapper, self).get_new_connection(given)  # type: ignore[no-any-return]

        connection, pid = session.connect(opening, session.place(conn_params), ours)
        guard.learn(connection, pid)
        self.shares_sessions = pid != connection.info.backend_pid
        return connection

    def chunked_cursor(self) -> Any:
        """A cursor that fetches in pieces; not where the next piece would be asked of another session."""
        return self.cursor() if self.shares_sessions else super().chunked_cursor()

    def _session(self) -> session.Session:
        options = self.settings_dict["OPTIONS"]
        given = options.get("options")
        return session.Session.of(
            {"TimeZone": self.timezone_name},
            session.parse(options.get("session_options") or ""),
            session.parse(given or ""),
            # all that is asked of a vault is named in full: whatever a URL says
            {"search_path": session.SEARCH_PATH} if options.get("session_role") else {},
            role=options.get("session_role"),
            first=given != "",
        )

    def _begin_with_settings(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
    ) -> Any:
        if not self.shares_sessions or self.connection.info.transaction_status is not TransactionStatus.IDLE:
            return execute(sql, params, many, context)
        if self.get_autocommit():
            with transaction.atomic(using=self.alias):
                session.say(self.connection, self._session(), local=True)
                return execute(sql, params, many, context)
        session.say(self.connection, self._session(), local=True)
        return execute(sql, params, many, context)
