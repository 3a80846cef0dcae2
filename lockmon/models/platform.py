"""Tables of earlier phases that the monitor reads: tenants."""

from __future__ import annotations

from django.db import models

from .base import VaultModel, vault_table
from .fields import BinaryHexField


class Tenant(VaultModel):
    """Key and name of one row of auth.tenant_h, which is all that the reading role may see; names are not
    unique."""

    tenant_hk = BinaryHexField(primary_key=True)
    tenant_bk = models.CharField(max_length=255)

    class Meta(VaultModel.Meta):
        db_table = vault_table("tenant_h", schema="auth")
        verbose_name = "tenant"
        verbose_name_plural = "tenants"

    def __str__(self) -> str:
        return str(self.tenant_bk)
