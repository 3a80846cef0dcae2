"""Which model lives where: vault tables are read through `vault`, everything else through `default`."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import Model


class VaultRouter:
    """Unmanaged models of lockmon belong to the vault; nothing is ever migrated there.

    A further vault is reached with an explicit `.using(alias)`; the first alias is only the default.
    """

    @staticmethod
    def _in_vault(model: type[Model]) -> bool:
        return model._meta.app_label == "lockmon" and not model._meta.managed

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        """The alias to read from; that of the related object where there is one."""
        if not self._in_vault(model):
            return "default"
        instance = hints.get("instance")
        alias = instance._state.db if instance is not None and self._in_vault(type(instance)) else None
        return alias if alias in settings.VAULT_ALIASES else settings.VAULT_ALIASES[0]

    db_for_write = db_for_read

    def allow_relation(self, first: Model, second: Model, **hints: Any) -> bool:
        """Relations stay within one database."""
        return self._in_vault(type(first)) == self._in_vault(type(second))

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **hints: Any) -> bool:
        """Django's tables are made in `default` only; the vault is deployed by lockmon_deploy."""
        return db == "default"
