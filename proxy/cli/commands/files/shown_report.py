"""The report of a replay on a terminal, or as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
from rich.text import Text

from proxy.cli.commands.files.report import Endpoint, lines_of, milliseconds
from proxy.cli.commands.files.results import Results
from proxy.cli.commands.output import complain, console, say_json
from proxy.process.terminal import visible_line

MAX_SHOWN: Final = 50
"""Endpoints are shown with what differs, and with how long they took; `--json` has all."""


def show(results: Results, endpoints: Sequence[Endpoint], *, as_json: bool) -> int:
    """Print what differs and how much does; return the exit code."""
    counts = results.counts
    is_good = counts["equal"] > 0 and all(endpoint.is_good for endpoint in endpoints)
    summary = _summary(counts, endpoints)

    if as_json:
        shown = {name: counts[name] for name in ("equal", "different", "failed", "not_sent")}
        others = [msgspec.to_builtins(result) for result in results.others]
        found = {"reasons": dict(results.reasons), "results": others, "summary": summary}
        say_json({**shown, **found, "endpoints": msgspec.to_builtins(endpoints)})
        return 0 if is_good else 1

    out = console()
    differing = [endpoint for endpoint in endpoints if not endpoint.is_good]
    for endpoint in differing[:MAX_SHOWN]:
        for line in _lines(endpoint):
            out.print(line)
    if (more := len(differing) - MAX_SHOWN) > 0:
        out.print(f"… {more:,} more endpoints: --json has all")
    for line in _latency_lines(endpoints):
        out.print(line)
    out.print(summary)
    for reason, times in results.reasons.most_common():
        complain(f"{times:,} not sent: {visible_line(reason)}")
    return 0 if is_good else 1


def _summary(counts: Mapping[str, int], endpoints: Sequence[Endpoint]) -> str:
    """Write the line for those who read one only."""
    sent = counts["equal"] + counts["different"] + counts["failed"]
    differing = sum(endpoint.different + endpoint.failed > 0 for endpoint in endpoints)
    slower = sum(endpoint.latency.slower for endpoint in endpoints)
    answers = ", ".join(f"{counts[name]:,} {name}" for name in ("equal", "different", "failed"))
    text = f"{sent:,} sent: {answers}; {differing:,} of {len(endpoints):,} endpoints differ"
    return f"{text}, {slower:,} slower" if slower else text


def _lines(endpoint: Endpoint) -> Iterator[Text]:
    """Write an endpoint, and what differs in its answers."""
    style = "red" if endpoint.failed else "yellow"
    wrong = endpoint.different + endpoint.failed
    text = f"{endpoint.name}: {wrong:,} of {endpoint.sent:,} answers are not as expected"
    yield Text(visible_line(text if wrong else f"{endpoint.name}: slower"), style)
    for line in lines_of(endpoint):
        yield Text(visible_line(f"  {line}"))


def _latency_lines(endpoints: Sequence[Endpoint]) -> Iterator[Text]:
    """Write how long answers took when they were recorded and now, what became slowest first."""
    known = [endpoint for endpoint in endpoints if endpoint.latency.factor is not None]
    if not known:
        return

    known.sort(key=lambda endpoint: endpoint.latency.factor or 0, reverse=True)
    yield Text("latency, p50/p95: recorded -> now", "dim")
    for endpoint in known[:MAX_SHOWN]:
        latency = endpoint.latency
        times = f"{milliseconds(latency.before)} -> {milliseconds(latency.now)}"
        mark = "  slower" if latency.slower else ""
        line = f"  {endpoint.name}  {times}  ({latency.factor:,.2f} times){mark}"
        yield Text(visible_line(line), "yellow" if latency.slower else "dim")

    if (more := len(known) - MAX_SHOWN) > 0:
        yield Text(f"  … {more:,} more", "dim")
