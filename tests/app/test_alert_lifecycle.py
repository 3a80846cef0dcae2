"""The rules of an alert's life: what a value means, when it counts, who hears of it. No database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from lockmon.alerts.lifecycle import (
    Decision,
    Event,
    Observation,
    Rules,
    Standing,
    confirm,
    ending,
    going_on,
    level_of,
    opening,
    raises,
)

T0 = datetime(2026, 11, 22, 3, 12, tzinfo=UTC)
NO_TIME = timedelta(0)
RULES = Rules(NO_TIME, timedelta(seconds=30), timedelta(minutes=60), timedelta(minutes=15), None)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def seen(level: str, value: int = 5) -> Observation:
    return Observation(
        level, None if level == "error" else Decimal(value), "broken" if level == "error" else None
    )


def event(**changes: object) -> Event:
    given: dict[str, object] = {
        "state": "critical",
        "level": "critical",
        "worst_level": "critical",
        "worst_value": Decimal(5),
        "raised_at": T0,
        "notified": ("critical",),
        "last_notified_at": T0,
        "notifications": 1,
        "escalated_at": None,
        "acknowledged_at": None,
        "snoozed_until": None,
    }
    return Event(**(given | changes))  # type: ignore[arg-type]


def fields(decision: Decision) -> dict[str, object]:
    return decision.fields or {}


@pytest.mark.parametrize(
    ("value", "warning", "critical", "level"),
    [
        ("0", "0", "1", "ok"),
        ("1", "0", "1", "critical"),
        ("0.5", "0", "1", "warning"),
        ("60", "60", "300", "ok"),
        ("61", "60", "300", "warning"),
        ("300", "60", "300", "critical"),
        ("9", None, "10", "ok"),
        ("10", None, "10", "critical"),
        ("99", "10", None, "warning"),
        ("700", "600", "120", "ok"),
        ("599", "600", "120", "warning"),
        ("120", "600", "120", "critical"),
    ],
)
def test_what_a_value_means(value: str, warning: str | None, critical: str | None, level: str) -> None:
    def number(text: str | None) -> Decimal | None:
        return None if text is None else Decimal(text)

    assert level_of(Decimal(value), number(warning), number(critical)) == level


def run(levels: Sequence[tuple[float, str]], rules: Rules, start: str = "ok") -> list[tuple[float, str]]:
    """Feed levels and return the moments at which what counts changed."""
    standing, changes = Standing(start, T0), []
    for second, level in levels:
        after = confirm(standing, level, rules, at(second))
        if after.level != standing.level:
            changes.append((second, after.level))
        standing = after
    return changes


def test_without_a_waiting_time_a_bad_value_counts_at_once_and_a_good_one_after_a_while() -> None:
    assert run([(5, "critical"), (10, "ok"), (15, "ok"), (39, "ok"), (40, "ok")], RULES) == [
        (5, "critical"),
        (40, "ok"),
    ]


def test_for_at_least_counts_uninterrupted_time_only() -> None:
    rules = Rules(timedelta(seconds=60), timedelta(seconds=30), NO_TIME, NO_TIME, None)
    assert run([(0, "warning"), (55, "warning"), (58, "ok"), (60, "warning"), (119, "warning")], rules) == []
    assert run([(0, "warning"), (30, "warning"), (60, "warning")], rules) == [(60, "warning")]


def test_a_level_counts_only_as_far_as_it_lasted() -> None:
    rules = Rules(timedelta(seconds=60), timedelta(seconds=30), NO_TIME, NO_TIME, None)
    grown = [(0, "warning"), (55, "critical"), (60, "critical"), (100, "critical"), (120, "critical")]
    assert run(grown, rules) == [(60, "warning"), (120, "critical")]


def test_a_value_that_flaps_five_hundred_times_is_one_event() -> None:
    flapping = [(index * 0.12, "critical" if index % 2 == 0 else "ok") for index in range(500)]
    assert run(flapping, RULES) == [(0, "critical")]


def test_a_query_has_to_fail_for_half_a_minute() -> None:
    assert run(
        [(0, "error"), (5, "error"), (10, "ok"), (15, "error"), (44, "error"), (45, "error")], RULES
    ) == [(45, "error")]


def test_an_event_is_told_when_it_opens() -> None:
    decision = opening(Standing("critical", at(5)), at(0), seen("critical"), RULES, at(5))
    assert decision.message == "raised"
    assert fields(decision)["started_at"] == at(0)
    assert fields(decision)["notified_levels"] == ["critical"]


def test_a_snoozed_alert_records_and_is_silent_and_speaks_when_the_snooze_ends() -> None:
    rules = Rules(NO_TIME, NO_TIME, timedelta(minutes=60), timedelta(minutes=15), at(600))
    assert opening(Standing("critical", T0), T0, seen("critical"), rules, T0).message is None
    silent = event(notified=(), last_notified_at=None, notifications=0)
    assert going_on(silent, Standing("critical", T0), seen("critical"), rules, at(599)).message is None
    assert going_on(silent, Standing("critical", T0), seen("critical"), rules, at(600)).message == "raised"


def test_nothing_is_written_while_nothing_changes() -> None:
    decision = going_on(event(), Standing("critical", T0), seen("critical", 5), RULES, at(60))
    assert decision.fields is None and decision.message is None


def test_each_level_is_told_once() -> None:
    warned = event(state="warning", level="warning", worst_level="warning", notified=("warning",))
    worse = going_on(warned, Standing("critical", at(5)), seen("critical"), RULES, at(5))
    assert (worse.message, fields(worse)["event_state"]) == ("worse", "critical")
    both = event(state="warning", level="warning", notified=("warning", "critical"))
    again = going_on(both, Standing("critical", at(50)), seen("critical"), RULES, at(50))
    assert (again.message, again.kind) == (None, "worse")
    eased = going_on(event(), Standing("warning", at(50)), seen("warning"), RULES, at(50))
    assert (eased.message, eased.kind) == (None, "eased")


def test_a_query_that_breaks_during_an_event_is_told() -> None:
    decision = going_on(event(), Standing("error", at(50)), seen("error"), RULES, at(50))
    assert decision.message == "worse"
    assert (fields(decision)["event_state"], fields(decision)["sentence"]) == ("error", "broken")


def test_a_critical_event_escalates_once_unless_acknowledged() -> None:
    critical = Standing("critical", T0)
    assert going_on(event(), critical, seen("critical"), RULES, at(899)).message is None
    decision = going_on(event(), critical, seen("critical"), RULES, at(900))
    assert (decision.message, fields(decision)["event_state"]) == ("escalated", "escalated")
    done = event(state="escalated", escalated_at=at(900), last_notified_at=at(900))
    assert going_on(done, critical, seen("critical"), RULES, at(1800)).message is None
    known = event(state="acknowledged", acknowledged_at=at(10))
    assert going_on(known, critical, seen("critical"), RULES, at(9000)).message is None


def test_reminders_keep_their_distance() -> None:
    escalated = event(state="escalated", escalated_at=at(900), last_notified_at=at(900))
    critical = Standing("critical", T0)
    assert going_on(escalated, critical, seen("critical"), RULES, at(900 + 3599)).message is None
    assert going_on(escalated, critical, seen("critical"), RULES, at(900 + 3600)).message == "reminder"
    never = Rules(NO_TIME, NO_TIME, NO_TIME, NO_TIME, None)
    assert going_on(event(), critical, seen("critical"), never, at(10**6)).message is None


def test_what_is_worse_than_what_was_acknowledged_speaks_again() -> None:
    known = event(
        state="acknowledged",
        level="warning",
        worst_level="warning",
        notified=("warning",),
        acknowledged_at=at(10),
    )
    decision = going_on(known, Standing("critical", at(60)), seen("critical"), RULES, at(60))
    assert decision.message == "worse"
    assert fields(decision)["acknowledged_at"] is None


def test_a_snoozed_event_wakes_up_as_what_it_was() -> None:
    snoozed = event(state="snoozed", snoozed_until=at(300))
    critical = Standing("critical", T0)
    assert going_on(snoozed, critical, seen("critical"), RULES, at(299)).fields is None
    decision = going_on(snoozed, critical, seen("critical"), RULES, at(300))
    assert (fields(decision)["event_state"], fields(decision)["snoozed_until"]) == ("critical", None)


def test_the_end_is_told_if_the_beginning_was() -> None:
    assert ending(event(), seen("ok", 0), at(60)).message == "resolved"
    assert ending(event(notified=()), seen("ok", 0), at(60)).message is None


def test_resolved_by_hand_while_it_lasts_it_is_quiet_until_the_repeat_interval() -> None:
    critical = Standing("critical", T0)
    assert raises(critical, None, RULES, at(5))
    assert not raises(critical, at(10), RULES, at(60))
    assert raises(critical, at(10), RULES, at(3610))
    assert raises(Standing("critical", at(100)), at(10), RULES, at(100)), "it was well in between"
    assert not raises(Standing("ok", T0), None, RULES, at(5))


def test_the_worst_value_is_the_lowest_where_lower_is_worse() -> None:
    rules = Rules(NO_TIME, NO_TIME, timedelta(minutes=1), NO_TIME, None, lower_is_worse=True)
    decision = going_on(
        event(worst_value=Decimal(90)), Standing("critical", T0), seen("critical", 40), rules, at(60)
    )
    assert fields(decision)["worst_value"] == Decimal(40)
