"""The unmanaged models match the catalog, and cannot write."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.db import connections, models

from lockmon.models import LockActivity, ReadOnlyError, Tenant, VaultModel
from tests.support.people import use_app_login

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "vault"])

MODELS = [model for model in apps.get_app_config("lockmon").get_models() if issubclass(model, VaultModel)]

COLUMNS = """
SELECT a.attname, format_type(a.atttypid, NULL), a.atttypmod, a.attnotnull, c.relkind
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
 WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
"""
OURS = {"satellite_id"}


def own(model: type[models.Model]) -> bool:
    return model.__module__.startswith("lockmon.models.") and "lock_monitoring" in model._meta.db_table


def catalog(model: type[models.Model]) -> dict[str, tuple[str, int, bool, str]]:
    with connections["vault"].cursor() as cursor:
        cursor.execute(COLUMNS, [model._meta.db_table])
        return {row[0]: (row[1], row[2], row[3], row[4]) for row in cursor.fetchall()}


def expected_type(field: models.Field[Any, Any]) -> str:
    found = str(field.db_type(connections["vault"]))
    return found.split("(")[0].replace("varchar", "character varying") + (
        "[]" if found.endswith(")[]") else ""
    )


def differences(model: type[models.Model]) -> list[str]:
    """Return what the model says and the catalog does not, or the other way round."""
    found, name = catalog(model), model.__name__
    fields = {field.column: field for field in model._meta.concrete_fields}
    wrong = [f"{name}: {column} is on one side only" for column in set(fields) ^ set(found)]
    for column, field in fields.items():
        if column not in found:
            continue
        kind, width, required, relation = found[column]
        wanted, text = expected_type(field), ("text", "character varying")
        if kind != wanted and not (relation != "r" and kind in text and wanted in text):
            wrong.append(f"{name}.{column}: {wanted} here, {kind} there")
        if relation == "r" and field.null and required and column not in OURS:
            wrong.append(f"{name}.{column}: never NULL there")
        if relation == "r" and type(field) is models.CharField and width != (field.max_length or 0) + 4:
            wrong.append(f"{name}.{column}: another width there")
    return wrong


def test_every_model_has_the_columns_of_its_relation(vault_db: str) -> None:
    ours = [model for model in MODELS if own(model)]
    assert len(ours) >= 14
    assert [line for model in ours for line in differences(model)] == []


def test_the_application_may_read_every_model(vault_db: str) -> None:
    use_app_login()
    for model in MODELS:
        assert list(model._default_manager.using("vault").all()[:2]) is not None


def test_no_model_writes(vault_db: str) -> None:
    with pytest.raises(ReadOnlyError):
        LockActivity(satellite_id=1).save()
    with pytest.raises(ReadOnlyError):
        LockActivity(satellite_id=1).delete()


def test_a_key_is_hex_in_python_and_bytes_in_the_vault(vault_db: str) -> None:
    tenant = Tenant.objects.using("vault").first()
    assert tenant is not None
    assert bytes.fromhex(tenant.pk)
    assert Tenant.objects.using("vault").get(tenant_hk=tenant.pk).tenant_bk == tenant.tenant_bk
