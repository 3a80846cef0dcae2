"""What the monitor keeps of the platform's own tables: names of tenants."""

from __future__ import annotations

from django.db import models

from .base import VaultModel, vault_table
from .fields import BinaryHexField


class Tenant(VaultModel):
    """Key and name of a tenant, as last read from auth.tenant_h; names are not unique."""

    tenant_hk = BinaryHexField(primary_key=True)
    tenant_bk = models.CharField(max_length=255)

    class Meta(VaultModel.Meta):
        db_table = vault_table("tenant_seen", schema="lock_engine")
        verbose_name = "tenant"
        verbose_name_plural = "tenants"

    def __str__(self) -> str:
        return str(self.tenant_bk)
