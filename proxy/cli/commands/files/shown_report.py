"""The report of a replay on a terminal, as JSON, or as JUnit XML."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape, quoteattr

import msgspec
from rich.text import Text

from proxy.cli.commands.files.report import Endpoint, lines_of, milliseconds
from proxy.cli.commands.files.results import Results
from proxy.cli.commands.output import complain, console, say_json
from proxy.process.terminal import visible, visible_line

MAX_SHOWN: Final = 50
"""Number of endpoints shown with differences, and with durations; `--json` shows all."""
_XML_BEGIN: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'


def show(results: Results, endpoints: Sequence[Endpoint], *, as_json: bool) -> int:
    """Print differences and their number; return the exit code."""
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
    """Return the summary line."""
    sent = counts["equal"] + counts["different"] + counts["failed"]
    differing = sum(endpoint.different + endpoint.failed > 0 for endpoint in endpoints)
    slower = sum(endpoint.latency.slower for endpoint in endpoints)
    answers = ", ".join(f"{counts[name]:,} {name}" for name in ("equal", "different", "failed"))
    text = f"{sent:,} sent: {answers}; {differing:,} of {len(endpoints):,} endpoints differ"
    return f"{text}, {slower:,} slower" if slower else text


def _lines(endpoint: Endpoint) -> Iterator[Text]:
    """Return the lines of an endpoint and of its differences."""
    style = "red" if endpoint.failed else "yellow"
    wrong = endpoint.different + endpoint.failed
    text = f"{endpoint.name}: {wrong:,} of {endpoint.sent:,} answers are not as expected"
    yield Text(visible_line(text if wrong else f"{endpoint.name}: slower"), style)
    for line in lines_of(endpoint):
        yield Text(visible_line(f"  {line}"))


def _latency_lines(endpoints: Sequence[Endpoint]) -> Iterator[Text]:
    """Return the lines of old and new durations, largest growth first."""
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


def junit_xml(endpoints: Iterable[Endpoint], not_sent: Mapping[str, int], against: str) -> str:
    """Return the report as JUnit XML; `not_sent` counts unsent requests by reason.

    The format has no standard; Jenkins, GitLab and others read it: `failure` for answers that
    differ, `error` for missing answers, `skipped` for unsent requests.
    """
    cases: list[str] = []
    failures = 0
    errors = 0

    for endpoint in endpoints:
        failures += not endpoint.is_good and not endpoint.failed
        errors += endpoint.failed > 0
        cases += _test_case(endpoint)

    for reason, times in not_sent.items():
        cases.append(_open("testcase", classname="not sent", name=f"{times:,} not sent: {reason}"))
        cases += ["<skipped/>", "</testcase>"]
    tests = cases.count("</testcase>")
    counts = {"tests": tests, "failures": failures, "errors": errors, "skipped": len(not_sent)}
    numbers = {name: str(number) for name, number in counts.items()}
    outer = _open("testsuites", **numbers)
    suite = _open("testsuite", name=f"replay against {against}", **numbers)
    return _XML_BEGIN + "\n".join([outer, suite, *cases, "</testsuite>", "</testsuites>"]) + "\n"


def _test_case(endpoint: Endpoint) -> Iterator[str]:
    now_us = endpoint.latency.now.p50_us or 0
    yield _open("testcase", classname="replay", name=endpoint.name, time=f"{now_us / 1e6:.6f}")
    if not endpoint.is_good:
        lines = [*lines_of(endpoint)]
        if endpoint.latency.slower:
            before = milliseconds(endpoint.latency.before)
            now = milliseconds(endpoint.latency.now)
            lines.append(f"slower: p50/p95 {before} -> {now}")

        element = "error" if endpoint.failed else "failure"
        yield _open(element, message=lines[0]) + escape(visible("\n".join(lines))) + f"</{element}>"

    yield "</testcase>"


def _open(element: str, **attributes: str) -> str:
    written = "".join(f" {name}={quoteattr(visible(value))}" for name, value in attributes.items())
    return f"<{element}{written}>"
