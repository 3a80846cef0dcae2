"""A report as Markdown, as self-contained HTML with a picture, and as JSON."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from datetime import timedelta

from django.utils import timezone
from django.utils.html import escape

from lockmon import watched_words
from lockmon.calls import claims
from lockmon.calls.report import Counted, Share
from lockmon.management.vault_command import plain
from lockmon.views.words import duration, one_line, some, visible

from .figures import Report

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;margin:.5rem 0 1.5rem}td,th{padding:.2rem .8rem .2rem 0;text-align:left}"
    "td+td,th+th{text-align:right}h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}"
    "@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}}"
)

_MARKDOWN = re.compile(r"[\\|<\[`*]")

Section = tuple[str, tuple[str, ...], list[tuple[str, ...]]]
"""Title, column heads, rows."""


def title(report: Report) -> str:
    """Return the report's heading."""
    start, end = timezone.localtime(report.start), timezone.localtime(report.end)
    return f"Locks of {report.vault}, {start:%d %B %Y} to {end:%d %B %Y}"


def summary(report: Report) -> str:
    """Return the report's first sentences, with the comparison."""
    now, before = report.totals, report.before
    if not report.seen.seconds:
        return watched_words.sentence(report.seen)
    if not now.waits:
        text = (
            "Nobody waited for a lock while it was watched."
            if report.seen.gaps
            else "Nobody waited for a lock."
        )
    else:
        text = (
            f"{some(now.waits, 'wait')} for locks took {duration(now.waited)} in total; the longest "
            f"{duration(now.longest)}. "
        )
    text += f" {watched_words.sentence(report.seen)}"
    if report.not_compared:
        text += f" {report.not_compared}"
    elif before.waits or now.waits:
        text += f" The {report.period} before: {some(before.waits, 'wait')}, {duration(before.waited)}."
        text += f" {_pace(report)}"
    return " ".join(text.split())


def _pace(report: Report) -> str:
    """Return the comparison per watched hour, with both shares."""
    mine, theirs = report.seen, report.seen_before
    now = report.totals.waited / (mine.seconds / 3600)
    then = report.before.waited / (theirs.seconds / 3600)
    change = f" ({(now - then) / then:+.0%})" if then else ""
    return (
        f"Per watched hour {duration(now)} of waiting, {duration(then)} the {report.period} before{change};"
        f" watched were {watched_words.percent(mine.share)} and {watched_words.percent(theirs.share)}."
    )


def _claimed(report: Report) -> list[Section]:
    """Whose work waited, where sessions claim a tenant."""
    rows = _shares(report.claimants, unnamed="none claimed")
    return [("Whose work waited, as claimed", ("Tenant", "Waits", "Time"), rows)] if rows else []


def sections(report: Report) -> list[Section]:
    """Return the report's tables; empty ones say so in words, see ``rows``."""
    own = report.watched
    return [
        ("What was waited for", ("Relation", "Waits", "Time"), _shares(report.relations)),
        ("Who blocked", ("Application", "Waits", "Time"), _shares(report.blockers)),
        ("Who suffered", ("Application", "Waits", "Time"), _shares(report.sufferers)),
        *_claimed(report),
        ("By day", ("Day", "Waits", "Time", "Watched"), _days(report)),
        (
            "Deadlocks by pattern",
            ("Tables", "Times", "Since"),
            [
                (
                    one_line(one.tables, 80) or "unknown",
                    str(one.times),
                    f"{timezone.localtime(one.first_seen):%Y-%m-%d}",
                )
                for one in report.patterns
            ],
        ),
        ("Actions", ("Outcome", "Times"), _counted(report.actions)),
        ("Alerts", ("Alert", "Times"), _counted(report.alerts)),
        (
            "The monitor itself",
            ("Figure", "Value"),
            [
                ("Cycles run / skipped / failed", f"{own.cycles:,} / {own.skipped:,} / {own.failed:,}"),
                (
                    "Deadlocks counted by PostgreSQL / captured / missed",
                    " / ".join(
                        f"{sum(getattr(line, name) for line in report.ledger):,}"
                        for name in ("counted", "captured", "missed")
                    ),
                ),
                ("Deadlocks that the log only claims, counted nowhere", claims.figure(report.claimed)),
                (
                    "Watched",
                    f"{watched_words.percent(report.seen.share)}; the {report.period} before "
                    f"{watched_words.percent(report.seen_before.share)}",
                ),
                (
                    "Not watched",
                    duration((report.seen.end - report.seen.start).total_seconds() - report.seen.seconds),
                ),
                (
                    "Transactions too short to be sampled",
                    "unknown" if own.unsampled is None else f"{own.unsampled:,}",
                ),
                ("Size of the vault", f"{report.size / 1e6:.1f} MB"),
            ],
        ),
    ]


def _shares(shares: Sequence[Share], unnamed: str = "") -> list[tuple[str, ...]]:
    return [(one_line(one.name, 80) or unnamed, f"{one.waits:,}", duration(one.waited)) for one in shares]


def _days(report: Report) -> list[tuple[str, ...]]:
    """Return every day of the period: its waits, and how much of it was watched; no figure if nothing was."""
    return [
        (
            name,
            *(("unknown", "unknown") if one is None else (f"{one.waits:,}", duration(one.waited))),
            watched_words.percent(share),
        )
        for name, one, share in _each_day(report)
    ]


def _each_day(report: Report) -> list[tuple[str, Share | None, float]]:
    """Return name, waits and watched share of every day of the period; None if nobody watched and knows."""
    found = {one.name: one for one in report.days}
    days: list[tuple[str, Share | None, float]] = []
    start = report.seen.start
    while start < report.seen.end:
        local = timezone.localtime(start)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        end = min(timezone.make_aware(timezone.make_naive(midnight) + timedelta(days=1)), report.seen.end)
        name = f"{local:%Y-%m-%d}"
        known, one = report.seen.within(start, end), found.get(name)
        one = one or (Share(name, 0, 0.0) if known else None)
        days.append((name, one, known / (end - start).total_seconds()))
        start = end
    return days


def _counted(counted: Sequence[Counted]) -> list[tuple[str, ...]]:
    return [(one_line(one.name, 80), f"{one.times:,}") for one in counted]


def markdown(report: Report) -> str:
    """Return the report as Markdown."""
    lines = [f"# {title(report)}", "", summary(report), "", "## Recommendations", ""]
    lines += [f"{number}. {_marked(text)}" for number, text in enumerate(report.recommendations, 1)]
    for name, heads, rows in sections(report):
        lines += ["", f"## {name}", ""]
        if not rows:
            lines.append("None.")
            continue
        lines += [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
        lines += [f"| {' | '.join(map(_marked, row))} |" for row in rows]
    return "\n".join(lines) + "\n"


def _marked(text: str) -> str:
    """Return text as Markdown that shows it: a name makes no table, link, picture or tag of its own."""
    return _MARKDOWN.sub(r"\\\g<0>", visible(text))


def html(report: Report) -> str:
    """Return the report as one HTML page that needs nothing else."""
    parts = [f"<h1>{escape(title(report))}</h1><p>{escape(summary(report))}</p>", picture(report)]
    items = "".join(f"<li>{escape(visible(text))}</li>" for text in report.recommendations)
    parts.append(f"<h2>Recommendations</h2><ol>{items}</ol>")
    for name, heads, rows in sections(report):
        parts.append(f"<h2>{escape(name)}</h2>")
        if not rows:
            parts.append("<p>None.</p>")
            continue
        head = "".join(f'<th scope="col">{escape(one)}</th>' for one in heads)
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
        parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title(report))}</title>"
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )


def picture(report: Report) -> str:
    """Return the waiting of each day as bars, what was not watched of it hatched; empty if nobody waited."""
    days = _each_day(report)
    most = max((one.waited for _, one, _ in days if one is not None), default=0.0)
    if not most:
        return ""
    width, height, each = 720, 120, 720 / len(days)
    bars = ""
    for number, (name, one, share) in enumerate(days):
        left, waited = number * each, one.waited if one is not None else 0.0
        told = f"{name}: {duration(waited) if one is not None else 'not watched'}"
        if share < 1:
            told += f", watched {watched_words.percent(share)}" if share else ""
            bars += (
                f'<rect class="not-watched" x="{left + each * share:.1f}" y="0" '
                f'width="{each * (1 - share):.1f}" height="{height}" fill="url(#unwatched)">'
                f"<title>{escape(told)}</title></rect>"
            )
        bars += (
            f'<rect x="{left + 2:.1f}" y="{height - waited / most * height:.1f}" '
            f'width="{each - 4:.1f}" height="{waited / most * height:.1f}" fill="#c4572b">'
            f"<title>{escape(told)}</title></rect>"
            f'<text x="{left + each / 2:.1f}" y="{height + 16}" font-size="11" text-anchor="middle" '
            f'fill="currentColor">{escape(name[5:])}</text>'
        )
    hatch = (
        '<defs><pattern id="unwatched" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><line x1="0" y1="0" x2="0" y2="6" stroke="#999" '
        'stroke-width="2"/></pattern></defs>'
    )
    blind = any(share < 1 for _, _, share in days)
    label = f"Time waited each day, at most {duration(most)}{'; hatched: not watched' if blind else ''}"
    return (
        f'<svg role="img" aria-label="{escape(label)}" '
        f'viewBox="0 0 {width} {height + 24}" width="100%">{hatch if blind else ""}{bars}</svg>'
    )


def as_json(report: Report) -> str:
    """Return all figures as JSON; what is of time that nobody watched is null."""
    found = dataclasses.asdict(report)
    for name, seen in (("totals", report.seen), ("before", report.seen_before)):
        if not seen.seconds:
            found[name] = dict.fromkeys(found[name])
    return json.dumps(found, default=plain, indent=2)


FORMATS = {"markdown": markdown, "html": html, "json": as_json}
