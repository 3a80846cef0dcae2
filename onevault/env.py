"""Settings from the environment. A mistake is an ImproperlyConfigured of one sentence that names it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


def text(name: str, default: str = "") -> str:
    """The variable without surrounding blanks; `default` if it is unset or empty."""
    return os.environ.get(name, "").strip() or default


def flag(name: str, default: bool) -> bool:
    """A yes-or-no variable: 1/0, true/false, yes/no, on/off."""
    value = text(name).lower()
    if not value:
        return default
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name} is {value!r}: say 1 or 0 (or true/false, yes/no, on/off).")


def number(name: str, default: int, lowest: int, highest: int) -> int:
    """A whole number between `lowest` and `highest`, both included."""
    value = text(name)
    if not value:
        return default
    if not value.isascii() or not value.lstrip("-").isdigit() or not lowest <= int(value) <= highest:
        raise ImproperlyConfigured(f"{name} is {value!r}: say a whole number from {lowest} to {highest}.")
    return int(value)


def words(name: str, default: Sequence[str] = ()) -> list[str]:
    """A list separated by commas; empty entries are dropped."""
    value = text(name)
    return [word.strip() for word in value.split(",") if word.strip()] if value else list(default)


def choice(name: str, default: str, allowed: Sequence[str]) -> str:
    """One word out of `allowed`, in any case."""
    value = text(name, default).lower()
    if value not in allowed:
        raise ImproperlyConfigured(f"{name} is {value!r}: say one of {', '.join(allowed)}.")
    return value


def folder(name: str, default: Path) -> Path:
    """A folder, made absolute; it need not exist."""
    value = text(name)
    return Path(value).expanduser().resolve() if value else default
