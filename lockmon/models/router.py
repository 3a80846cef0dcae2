"""Which database a model lives in: vault models on the alias ``vault``, everything else on ``default``."""

from __future__ import annotations

from typing import Any

from django.db.models import Model

VAULT_ALIAS = "vault"


class VaultRouter:
    """Send the vault's unmanaged models to the vault alias, and keep ``migrate`` away from that database."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        if not getattr(model, "vault", False):
            return None
        instance = hints.get("instance")
        state = getattr(instance, "_state", None)
        if getattr(type(instance), "vault", False) and state is not None and state.db:
            return str(state.db)
        return VAULT_ALIAS

    def db_for_write(self, model: type[Model], **hints: Any) -> str | None:
        return self.db_for_read(model, **hints)

    def allow_relation(self, obj1: Model, obj2: Model, **hints: Any) -> bool | None:
        return None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return False if db == VAULT_ALIAS else None
