"""The loop's times, from the settings (``LOCKMON_LOOP``, a dictionary with these names)."""

from __future__ import annotations

from dataclasses import dataclass, fields

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True)
class LoopOptions:
    """How often and how long. Seconds, unless the name says otherwise.

    tick: between two quiet looks, and between two full cycles while somebody waits.
    full_interval: at the latest so long after the last full cycle the next one runs, waiting or not.
    standby_poll: how often a standby asks for the leader's lock.
    skip_alarm: after so long without a full cycle the session that prevents it is named.
    kept_looks, kept_megabytes: while nothing can be stored, at most so many looks, and so much of them, are
    kept in memory; the oldest are dropped first. Looks that saw nothing new count as one.
    gap_threshold: a pause between two stored looks that is longer than this is a gap. A slow cycle makes it
    longer.
    """

    tick: float = 1.0
    full_interval: float = 3.0
    standby_poll: float = 0.3
    coverage_period: float = 30.0
    skip_alarm: float = 5.0
    gap_threshold: float = 1.5
    kept_looks: int = 7200
    kept_megabytes: float = 64.0
    backoff_first: float = 0.2
    backoff_longest: float = 5.0
    statement_timeout_ms: int = 10_000
    lock_timeout_ms: int = 200
    idle_session_timeout_ms: int = 20_000

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) <= 0:
                raise ImproperlyConfigured(f"LOCKMON_LOOP: {field.name} must be greater than 0.")


def loop_options() -> LoopOptions:
    """Return the options from the settings; ImproperlyConfigured, in one sentence, where a name or value
    is wrong."""
    given = dict(getattr(settings, "LOCKMON_LOOP", {}))
    known = {field.name for field in fields(LoopOptions)}
    unknown = sorted(set(given) - known)
    if unknown:
        raise ImproperlyConfigured(
            f"LOCKMON_LOOP does not know {', '.join(unknown)}; it knows {', '.join(sorted(known))}."
        )
    return LoopOptions(**given)
