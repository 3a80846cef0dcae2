"""Model fields for PostgreSQL types that Django has no field for."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

_Field = models.Field


class BinaryHexField(_Field):  # type: ignore[type-arg]
    """A ``bytea`` column whose Python value is lower-case hex text, so that it can be a key in URLs and
    forms."""

    description = "binary data, shown as hex"

    def db_type(self, connection: Any) -> str:
        return "bytea"

    def rel_db_type(self, connection: Any) -> str:
        return "bytea"

    def get_internal_type(self) -> str:
        return "BinaryHexField"

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> str | None:
        return None if value is None else bytes(value).hex()

    def to_python(self, value: Any) -> str | None:
        """Return hex text; raises ValidationError where the text is not hex."""
        if value is None:
            return None
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value).hex()
        try:
            return bytes.fromhex(str(value)).hex()
        except ValueError as error:
            raise ValidationError("This is not a key: a key is hexadecimal text.") from error

    def get_prep_value(self, value: Any) -> bytes | None:
        text = self.to_python(value)
        return None if text is None else bytes.fromhex(text)

    def value_to_string(self, obj: models.Model) -> str:
        return str(self.value_from_object(obj))


class OidField(models.BigIntegerField):  # type: ignore[type-arg]
    """An ``oid`` column; unsigned 32 bits, so a Python int."""

    def db_type(self, connection: Any) -> str:
        return "oid"

    def get_internal_type(self) -> str:
        return "BigIntegerField"


class NumericField(models.DecimalField):  # type: ignore[type-arg]
    """A ``numeric`` column without precision and scale."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_digits", 38)
        kwargs.setdefault("decimal_places", 6)
        super().__init__(*args, **kwargs)

    def db_type(self, connection: Any) -> str:
        return "numeric"
