"""/metrics for Prometheus, in OpenMetrics. Open to a bearer of METRICS_TOKEN; without a token to this host
alone.

docs/grafana/ has a dashboard and alert rules over these names; a test holds both against what is served.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from django.db import DatabaseError, connections
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from lockmon import errors, vault
from lockmon.calls import metrics as calls
from onevault import proxies

log = logging.getLogger("lockmon.metrics")


@dataclass(frozen=True)
class Family:
    """One metric family: its name, its help, the part it comes from, its labels.

    pick: the figure of a part that holds several; the part's own labels follow it otherwise.
    """

    name: str
    help: str
    part: str
    labels: tuple[str, ...] = ()
    pick: str | None = None


FAMILIES = (
    Family(
        "lockmon_watched",
        "1 while this moment is watched; 0: figures of now are unknown, and absent.",
        "watching",
        pick="now",
    ),
    Family(
        "lockmon_watched_share_24h",
        "Watched share of 24 hours, 0 to 1: figures of 24 hours are of that.",
        "watching",
        pick="share",
    ),
    Family("lockmon_waiting_sessions", "Sessions that wait for a lock.", "present", pick="waiting_sessions"),
    Family(
        "lockmon_blocking_sessions", "Sessions that others wait for.", "present", pick="blocking_sessions"
    ),
    Family("lockmon_locks", "Locks that the last cycle kept.", "present", pick="locks"),
    Family("lockmon_cycle_age_seconds", "Seconds since the last good cycle.", "present", pick="cycle_age"),
    Family(
        "lockmon_root_blockers", "Sessions that block others and wait for nobody.", "roots", ("severity",)
    ),
    Family("lockmon_waits", "Waiting locks, the busiest relations by name.", "waits", ("mode", "relation")),
    Family("lockmon_blocked_seconds", "Waits of this moment, added up.", "blocked_seconds", pick="sum"),
    Family(
        "lockmon_longest_wait_seconds", "The longest wait of this moment.", "blocked_seconds", pick="longest"
    ),
    Family("lockmon_deadlocks_24h", "Deadlocks: counted, captured, missed.", "deadlocks", ("kind",)),
    Family(
        "lockmon_claimed_deadlocks_24h",
        "Deadlocks that the log only claims, in no other figure; 1001: more than 1,000.",
        "claims",
        pick="claimed",
    ),
    Family(
        "lockmon_actions", "Actions of the door by outcome, since its log began.", "actions", ("outcome",)
    ),
    Family("lockmon_alerts", "Active alerts by state.", "alerts", ("state",)),
    Family(
        "lockmon_heartbeat_age_seconds",
        "Seconds since the loop's heartbeat.",
        "heartbeat",
        pick="heartbeat_age",
    ),
    Family("lockmon_look_seconds", "What a quiet look takes.", "heartbeat", pick="look"),
    Family("lockmon_cycle_seconds", "What the last full cycle took.", "heartbeat", pick="cycle"),
    Family("lockmon_skipping", "1 while cycles are skipped or fail.", "heartbeat", pick="skipping"),
    Family("lockmon_coverage_24h", "Looks and cycles of 24 hours.", "coverage", ("kind",)),
    Family("lockmon_largest_gap_seconds_24h", "Longest time between looks.", "coverage", pick="largest_gap"),
    Family("lockmon_missing_seconds_24h", "Time in which nobody watched.", "coverage", pick="missing"),
    Family("lockmon_unsampled_transactions_24h", "Too short to be sampled.", "coverage", pick="unsampled"),
    Family("lockmon_busy_seconds_24h", "Time the loop spent in statements.", "coverage", pick="busy"),
    Family("lockmon_storage_bytes", "Size of the vault's tables, as vacuum saw it.", "storage", ("table",)),
)
ALWAYS = {
    "lockmon_root_blockers": ("CRITICAL", "HIGH", "MEDIUM", "LOW"),
    "lockmon_deadlocks_24h": ("counted", "captured", "missed"),
    "lockmon_coverage_24h": ("looks", "run", "skipped", "failed"),
}
"""Label values that are served also when they are 0, so that a rule over them never lacks its series."""


class VaultCollector(Collector):
    """Reads the parts of every vault once a scrape."""

    def collect(self) -> Iterator[Metric]:
        """Yield all families; a part that cannot be read is missing and counted in lockmon_scrape_failed."""
        began = time.perf_counter()
        found = {alias: self._read(alias) for alias in settings.VAULT_ALIASES}
        for family in FAMILIES:
            metric = GaugeMetricFamily(family.name, family.help, labels=["vault", *family.labels])
            for alias, parts in found.items():
                for labels, value in _select(family, _known(parts, family)):
                    metric.add_metric([alias, *labels], value)
            yield metric
        failed = GaugeMetricFamily(
            "lockmon_scrape_failed", "Parts that could not be read.", labels=["vault", "part"]
        )
        for alias, parts in found.items():
            for part in calls.PARTS:
                failed.add_metric([alias, part], 0.0 if part in parts else 1.0)
        yield failed
        duration = GaugeMetricFamily("lockmon_scrape_seconds", "What this scrape took.")
        duration.add_metric([], time.perf_counter() - began)
        yield duration

    def _read(self, alias: str) -> dict[str, list[calls.Sample]]:
        parts: dict[str, list[calls.Sample]] = {}
        for name, call in calls.PARTS.items():
            try:
                # in autocommit mode: one statement each, and one that fails does not spoil the next
                with vault.cursor(alias) as cursor:
                    parts[name] = call(cursor)
            except DatabaseError as error:
                log.debug("The metrics of part %s cannot be read: %s", name, errors.told(error))
                if connections[alias].connection is None or connections[alias].errors_occurred:
                    connections[alias].close_if_unusable_or_obsolete()
                if not connections[alias].is_usable():
                    connections[alias].close()
                    break
        return parts


def _known(parts: dict[str, list[calls.Sample]], family: Family) -> list[calls.Sample] | None:
    """Return the samples of a family's part; None if they would tell of a moment that nobody watches."""
    is_of_now = family.part in calls.OF_NOW and family.pick != "cycle_age"
    if is_of_now and (("now",), 1.0) not in parts.get("watching", ()):
        return None
    return parts.get(family.part)


def _select(family: Family, samples: list[calls.Sample] | None) -> Iterator[calls.Sample]:
    if samples is None:
        return
    if family.pick is not None:
        yield from (((), value) for labels, value in samples if labels == (family.pick,))
        return
    known = ALWAYS.get(family.name)
    if known is None:
        yield from samples
        return
    values = dict(samples)
    for name in known:
        yield (name,), values.get((name,), 0.0)


def bears_token(request: HttpRequest) -> bool:
    """Tell whether this request bears METRICS_TOKEN."""
    token: str = settings.METRICS_TOKEN
    given = request.headers.get("Authorization", "")
    return bool(token) and hmac.compare_digest(given.encode(), f"Bearer {token}".encode())


def may_scrape(request: HttpRequest) -> bool:
    """Tell whether this request may read the metrics: it bears the token, or there is none and it is from
    here."""
    return bears_token(request) if settings.METRICS_TOKEN else proxies.is_this_host(request)


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Serve the metrics, or 403 with a sentence."""
    if not may_scrape(request):
        return HttpResponse(
            "Metrics are served to a bearer of METRICS_TOKEN; where none is set, to this host alone.\n",
            status=403,
            content_type="text/plain; charset=utf-8",
        )
    text = generate_latest(_Registry())  # type: ignore[no-untyped-call]
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST)


class _Registry:
    """What generate_latest asks for: the families of one collection."""

    def collect(self) -> Iterator[Metric]:
        return VaultCollector().collect()
