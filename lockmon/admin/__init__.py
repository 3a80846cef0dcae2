"""The admin of the vault's history, the door and the alerts."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from . import analyses, episodes, events, history

for _name in ("door", "alerts", "monitor"):
    if find_spec(f"{__name__}.{_name}") is not None:
        import_module(f"{__name__}.{_name}")

__all__ = ["analyses", "episodes", "events", "history"]
