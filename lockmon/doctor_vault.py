"""The doctor's lines about the vault's own working: the platform's tables, growth and overhead."""

from __future__ import annotations

from collections.abc import Iterator

from . import vault
from .calls import doctor as calls
from .calls import site
from .doctor import FAILURE, OK, WARNING, Finding

MOST_OVERHEAD = 0.02
"""The guide's criterion: less than 2 % of one core."""
MOST_GROWTH_MB = 100
"""The guide's criterion: less than 100 MB a day."""
LEAST_DAYS_FOR_GROWTH = 0.5


def site_tables(alias: str) -> Iterator[Finding]:
    """Can tenants be read from the platform's tables? If not for good, the line that mends it."""
    with vault.cursor(alias) as cursor:
        found = site.trouble(cursor)
    for one in found:
        yield Finding(
            "tenants",
            one.table_name,
            FAILURE,
            f'{one.fault}: rows of tenants that are not known already stay "tenant not known yet".',
            one.remedy,
        )
    if not found:
        yield Finding("tenants", "the platform's tables", OK, "Nothing keeps tenants from being read.")


def cost(alias: str) -> Iterator[Finding]:
    """Growth and overhead against the guide's criteria."""
    with vault.cursor(alias) as cursor:
        growth, overhead = calls.growth(cursor), calls.overhead(cursor)
    size = growth.bytes / 1e6
    a_day = size / growth.days
    if growth.days < LEAST_DAYS_FOR_GROWTH:
        yield Finding("storage", "growth", OK, f"The vault has {size:.0f} MB; too young to tell its growth.")
    else:
        yield Finding(
            "storage",
            "growth",
            OK if a_day < MOST_GROWTH_MB else WARNING,
            f"The vault has {size:.0f} MB and grows by about {a_day:.1f} MB a day (the guide allows 100).",
            ""
            if a_day < MOST_GROWTH_MB
            else "Shorten the retention of the cleanup schedule, or raise "
            "capture.min_transaction_age_seconds.",
        )
    if overhead is None:
        yield Finding(
            "overhead", "time spent", WARNING, "Nothing has been recorded yet.", "Let the loop run."
        )
        return
    share = overhead.busy / overhead.covered
    yield Finding(
        "overhead",
        "time spent",
        OK if share < MOST_OVERHEAD else WARNING,
        f"The loop spends {share:.2%} of its time in statements (the guide allows 2 %).",
        ""
        if share < MOST_OVERHEAD
        else "Many sessions wait, or there are very many locks: see the overview.",
    )
