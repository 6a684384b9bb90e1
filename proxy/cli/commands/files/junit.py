"""A report of a replay as JUnit XML, as CI systems show it: a test case for each endpoint. Pure.

There is no standard; this is what Jenkins, GitLab and others read: `failure` for answers that
differ, `error` for those that did not come, `skipped` for requests that were not sent.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from proxy.cli.commands.files.report import Endpoint, lines_of, milliseconds
from proxy.process.terminal import visible

_BEGIN: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'


def junit_xml(endpoints: Iterable[Endpoint], not_sent: Mapping[str, int], against: str) -> str:
    """Write a document; `not_sent` counts requests by why they were not sent."""
    cases: list[str] = []
    failures = 0
    errors = 0

    for endpoint in endpoints:
        failures += not endpoint.is_good and not endpoint.failed
        errors += endpoint.failed > 0
        cases += _case(endpoint)

    for reason, times in not_sent.items():
        cases.append(_open("testcase", classname="not sent", name=f"{times:,} not sent: {reason}"))
        cases += ["<skipped/>", "</testcase>"]
    tests = cases.count("</testcase>")
    counts = {"tests": tests, "failures": failures, "errors": errors, "skipped": len(not_sent)}
    numbers = {name: str(number) for name, number in counts.items()}
    outer = _open("testsuites", **numbers)
    suite = _open("testsuite", name=f"replay against {against}", **numbers)
    return _BEGIN + "\n".join([outer, suite, *cases, "</testsuite>", "</testsuites>"]) + "\n"


def _case(endpoint: Endpoint) -> Iterator[str]:
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
