"""Deadlocks: those of now, the stored ones, one of them as a graph, and what was missed."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from lockmon import vault, watched
from lockmon.calls import claims
from lockmon.calls import deadlocks as calls
from lockmon.management.vault_command import EXIT_ERROR, EXIT_FOUND, VaultCommand, positive, tenant_key
from lockmon.watched_words import sentence


class Command(VaultCommand):
    """lock_monitoring.detect_deadlocks(), the history and the ledger from a terminal."""

    help = "Look for deadlocks now (detect_deadlocks), list the stored ones, or show one as a graph."
    takes_tenant = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--last", type=int, default=10, help="so many stored ones, latest first (default: 10)"
        )
        parser.add_argument(
            "--show", metavar="ID", help="one deadlock: its ring, what is unknown, how to avoid it"
        )
        parser.add_argument("--fail-on-new", action="store_true", help="exit with 3 if one was detected now")

    def work(self, alias: str, **options: Any) -> int:
        if options["show"]:
            return self._show(alias, options)
        limit = positive(options["last"], "--last", 0)
        with vault.cursor(alias) as cursor:
            now = calls.detect_deadlocks(cursor, tenant_key(cursor, options["tenant"]))
            stored = calls.list_deadlocks(cursor, None, limit) if limit else []
            ledger = calls.ledger(cursor)
            log = calls.log_status(cursor)
            claimed, number = claims.latest(cursor, None, limit)
            begun = [one.happened_at for one in stored] + [
                line.first_window for line in ledger if line.first_window is not None
            ]
            present = timezone.now()
            seen = watched.read(cursor, min(begun, default=present), present)
        pids = ", ".join(str(pid) for pid in now.involved_sessions)
        lines = [
            f"{now.severity}: deadlock between {pids}. {now.action}" if now.detected else "No deadlock now."
        ]
        for event in stored:
            victim = f"victim {event.victim_pid}" if event.victim_pid else "victim unknown"
            names = ", ".join(str(pid) for pid in event.pids)
            when = timezone.localtime(event.happened_at)
            lines.append(
                f"{when:%Y-%m-%d %H:%M:%S}  {event.deadlock_id}  between {names}, {victim}"
                f"  {', '.join(event.tables)}  ({event.similar} of this pattern)"
            )
        if limit:
            lines += ledger_lines(ledger)
            lines += claim_lines(claimed, number)
            state = f"{log.state[:1].upper()}{log.state[1:]}."
            lines.append(" ".join(filter(None, (state, log.what_to_do))))
            lines += filter(None, [sentence(seen)])
        self.emit(options, [now, *stored, *ledger, *claimed, log, seen], lines)
        return EXIT_FOUND if options["fail_on_new"] and now.detected else 0

    def _show(self, alias: str, options: dict[str, Any]) -> int:
        with vault.cursor(alias) as cursor:
            event = calls.get_deadlock(cursor, options["show"])
        if event is None:
            raise CommandError(
                f"There is no deadlock {options['show']}; lockmon_deadlocks lists them.",
                returncode=EXIT_ERROR,
            )
        self.emit(options, [event], graph_lines(event))
        return 0


def ledger_lines(ledger: Sequence[calls.LedgerLine]) -> list[str]:
    """What PostgreSQL counted against what was captured, a line a database."""
    return [
        f"{line.database_name}: {line.counted} counted by PostgreSQL, {line.captured} captured"
        f" (sampling {line.by_sampling}, log {line.by_log}), {line.missed} missed"
        + (f", {line.not_yet_settled} not settled yet" if line.not_yet_settled else "")
        for line in ledger
    ]


def claim_lines(claimed: Sequence[claims.Claim], number: int) -> list[str]:
    """What the log only claims: how many, and the latest of them with the reason."""
    if not number:
        return []
    return [claims.in_words(number)] + [
        f"{timezone.localtime(one.happened_at):%Y-%m-%d %H:%M:%S}  claimed by pid {one.pid}"
        f"{f' ({one.user})' if one.user else ''}: {one.why}"
        for one in claimed
    ]


def graph_lines(event: calls.DeadlockRecord) -> list[str]:
    """One deadlock as text: the ring, then why, how to avoid it, what is unknown."""
    when = timezone.localtime(event.happened_at)
    first = timezone.localtime(event.pattern_first_seen)
    lines = [
        f"Deadlock of {when:%Y-%m-%d %H:%M:%S.%f} (captured by {' and '.join(event.sources)}),"
        f" {event.similar} of this pattern since {first:%Y-%m-%d %H:%M}",
        f"  lasted {event.duration_ms} ms" if event.duration_ms is not None else "  duration unknown",
    ]
    for member in event.participants:
        victim = "   <- victim, its statement was cancelled" if member.get("pid") == event.victim_pid else ""
        who = " ".join(str(member[key]) for key in ("user", "application") if member.get(key))
        lines.append(f"  {member.get('pid')} {who}{victim}")
        query = " ".join(str(member.get("query") or "statement unknown").split())
        lines.append(f"    {query[:150]}")
        if member.get("blocked_by"):
            how = "queues behind" if member.get("behind_in_queue") else "waits for"
            lines.append(
                f"    |  {how} {member['blocked_by']}: wants {member.get('wanted_mode')}"
                f" on {member.get('wanted', 'an unknown object')}"
            )
            lines.append("    v")
    if event.participants and all(member.get("blocked_by") for member in event.participants):
        lines.append(f"  {event.participants[0].get('pid')} (again)")
    if event.suggestion:
        lines.append(f"Mend: {event.suggestion}")
    lines.append("Unknown: " + ("; ".join(event.unknown) if event.unknown else "nothing"))
    return lines
