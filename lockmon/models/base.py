"""Base of the unmanaged, read-only models over the vault."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models


def vault_table(name: str, schema: str = "lock_monitoring") -> str:
    """Return the quoted, schema-qualified name that Django uses as it stands."""
    return f'"{schema}"."{name}"'


class ReadOnlyError(RuntimeError):
    """Raised where code tries to write the vault through a model; only its SQL functions write it."""


class VaultModel(models.Model):
    """A table or view of the vault. Reading only: the vault is written by its own SQL functions."""

    vault: ClassVar[bool] = True

    class Meta:
        abstract = True
        managed = False
        default_permissions = ("view",)

    def save(self, *args: Any, **kwargs: Any) -> None:
        raise ReadOnlyError(f"{self._meta.db_table} is written by the vault's own functions only.")

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise ReadOnlyError(f"{self._meta.db_table} is written by the vault's own functions only.")
