"""The report of a replay on a terminal, as JSON, or as JUnit XML."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import msgspec
from rich.text import Text

from proxy.cli.commands.files.report import Endpoint, lines_of, milliseconds
from proxy.cli.commands.files.results import Results
from proxy.cli.commands.output import Result, complain, console
from proxy.process.terminal import visible, visible_line

MAX_SHOWN: Final = 50
"""Number of endpoints shown with differences, and with durations; `--json` shows all."""
_XML_BEGIN: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'


def result_of(results: Results, endpoints: Sequence[Endpoint]) -> Result:
    """Return differences and their number, to be printed."""
    counts = results.counts
    is_good = counts["equal"] > 0 and all(endpoint.is_good for endpoint in endpoints)
    summary = _summary(counts, endpoints)

    found = {name: counts[name] for name in ("equal", "different", "failed", "not_sent")} | {
        "reasons": dict(results.reasons),
        "results": msgspec.to_builtins(results.others),
        "summary": summary,
        "endpoints": msgspec.to_builtins(endpoints),
    }

    def show(_: object) -> None:
        _print(endpoints, summary)
        for reason, times in results.reasons.most_common():
            complain(f"{times:,} not sent: {visible_line(reason)}")

    return Result(found, show, 0 if is_good else 1)


def _print(endpoints: Sequence[Endpoint], summary: str) -> None:
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


def _summary(counts: Mapping[str, int], endpoints: Sequence[Endpoint]) -> str:
    """Return the summary line."""
    sent = counts["equal"] + counts["different"] + counts["failed"]
    differing = sum(endpoint.different + endpoint.failed > 0 for endpoint in endpoints)
    slower = sum(endpoint.latency.slower for endpoint in endpoints)
    answers = ", ".join(f"{counts[name]:,} {name}" for name in ("equal", "different", "failed"))
    text = f"{sent:,} sent: {answers}; {differing:,} of {len(endpoints):,} endpoints differ"
    if slower:
        return f"{text}, {slower:,} slower"
    return text


def _lines(endpoint: Endpoint) -> Iterator[Text]:
    """Yield the lines of a report about an endpoint and its differences."""
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
    suites = Element("testsuites")
    suite = SubElement(suites, "testsuite", name=visible(f"replay against {against}"))
    for endpoint in endpoints:
        _add_case(suite, endpoint)
    for reason, times in not_sent.items():
        name = visible(f"{times:,} not sent: {reason}")
        SubElement(SubElement(suite, "testcase", classname="not sent", name=name), "skipped")

    kinds = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    counts = {name: str(len(suite.findall(f"*/{kind}"))) for name, kind in kinds.items()}
    for element in (suites, suite):
        element.attrib |= {"tests": str(len(suite)), **counts}
    indent(suites, "")
    return f"{_XML_BEGIN}{tostring(suites, 'unicode')}\n"


def _add_case(suite: Element, endpoint: Endpoint) -> None:
    latency = endpoint.latency
    case = SubElement(suite, "testcase", classname="replay", name=visible(endpoint.name))
    case.set("time", f"{(latency.now.p50_us or 0) / 1e6:.6f}")
    if endpoint.is_good:
        return

    lines = [*lines_of(endpoint)]
    if latency.slower:
        times = f"{milliseconds(latency.before)} -> {milliseconds(latency.now)}"
        lines.append(f"slower: p50/p95 {times}")
    kind = "error" if endpoint.failed else "failure"
    SubElement(case, kind, message=visible(lines[0])).text = visible("\n".join(lines))
