"""A replay's report: by endpoint, then by change, with counts, an example and latency."""

import xml.etree.ElementTree as ET
from typing import Any

from proxy.cli.commands.files.report import MAX_CHANGES, Endpoint, Report, lines_of
from proxy.cli.commands.files.results import Result, Verdict
from proxy.cli.commands.files.shown_report import junit_xml


def change(
    kind: str, path: str, a: str | None = None, b: str | None = None, was: str | None = None
) -> dict[str, Any]:
    return {
        "change": kind,
        "path": path,
        "old_path": was,
        "a": a,
        "b": b,
        "segments": [],
        "times": 1,
    }


def part(name: str, *changes: dict[str, Any]) -> dict[str, Any]:
    return {"part": name, "changes": [*changes]}


def result(
    number: int,
    *parts: dict[str, Any],
    status: int | None = 200,
    took_us: int = 10_000,
    **more: Any,
) -> Result:
    verdict: Verdict = more.pop("verdict", "different" if parts else "equal")
    known: dict[str, Any] = {
        "endpoint": "/users/{id}",
        "recorded_duration_us": 10_000,
        "status": status,
        "duration_us": took_us,
    }
    return Result(
        f"r{number}", verdict, "GET", f"/users/{number}", 200, parts=[*parts], **(known | more)
    )


def reported(*results: Result, slower: float | None = None) -> list[Endpoint]:
    report = Report(slower)
    for each in results:
        report.add(each)
    return report.endpoints()


def lines(*results: Result) -> list[str]:
    [endpoint] = reported(*results)
    return [*lines_of(endpoint)]


def test_the_same_change_is_one_line_with_its_count_and_an_example() -> None:
    """The values do not matter; a changed status shows both, and further changes of the answer are
    shown.
    """
    renamed = [
        change("added", ".user.full_name", None, '"n"'),
        change("removed", ".user.name", '"n"'),
    ]
    results = [
        result(
            n,
            part("status", change("changed", "status", "200", "201")),
            part("response_body", *renamed),
            status=201,
        )
        for n in range(3)
    ]
    assert lines(*results, result(9)) == [
        "3 of 4 answer 201 instead of 200  (example: r0)",
        "3 of 4: .user.name is gone, .user.full_name is new  (example: r0)",
    ]


def test_indices_are_left_open_and_one_answer_counts_once() -> None:
    """However many elements of it have the change."""
    prices = [change("changed", f".items[{n}].price", "1", "2") for n in range(4)]
    assert lines(result(1, part("response_body", *prices)), result(2)) == [
        "1 of 2: .items[*].price differs (1 -> 2)  (example: r1)"
    ]


def test_each_kind_of_change_has_its_words() -> None:
    """Of bodies, headers, trailers and events."""
    parts = [
        part(
            "response_headers",
            change("removed", "x-a", "1"),
            change("changed", "server", "a", "b" * 99),
        ),
        part("response_trailers", change("added", "digest", None, "1")),
        part(
            "response_body",
            change("type", ".n", "1", '"1"'),
            change("moved", ".list", "[1]", "[2]"),
        ),
        part(
            "events",
            change("moved", ".[3]", "{}", "{}", ".[2]"),
            change("removed", "all of it", "x"),
        ),
    ]
    assert [line.partition(": ")[2].partition("  (")[0] for line in lines(result(1, *parts))] == [
        "header x-a is gone",
        f"header server differs (a -> {'b' * 59}…)",
        "trailer digest is new",
        '.n is of another type (1 -> "1")',
        ".list is in another order",
        "event .[*] was at another index",
        "event the body is gone",
    ]


def test_of_another_class_only_the_status_is_said() -> None:
    """Other differences of such an answer follow from it; a missing answer has its reason."""
    other = result(1, part("status", change("changed", "status", "200", "500")),
                   part("response_body", change("removed", ".a", "1")), status=500)  # fmt: skip
    failed = result(2, verdict="failed", reason="refused", status=None, duration_us=None)
    [endpoint] = reported(other, failed)
    assert [*lines_of(endpoint)] == [
        "1 of 2 answer 500 instead of 200  (example: r1)",
        "1 of 2 have no answer: refused  (example: r2)",
    ]
    assert (endpoint.different, endpoint.failed, endpoint.is_good) == (1, 1, False)


def test_latency_is_judged_only_where_it_is_asked_for() -> None:
    """By the median, for many answers also by the 95th percentile; a few milliseconds do not count."""
    slow = [result(n, took_us=30_000) for n in range(3)]
    assert [reported(*slow, slower=factor)[0].latency.slower for factor in (None, 4, 2)] == [
        False,
        False,
        True,
    ]
    latency = reported(*slow)[0].latency
    assert (latency.before.p50_us, latency.now.p50_us, latency.factor) == (10_000, 30_000, 3)
    tail = [result(n, took_us=90_000 if n < 10 else 10_000) for n in range(100)]
    assert reported(*tail, slower=2)[0].latency.slower
    assert not reported(*tail[:99], slower=2)[0].latency.slower
    short = [result(1, took_us=4_000, recorded_duration_us=1_000)]
    assert not reported(*short, slower=2)[0].latency.slower


def test_what_is_kept_of_an_endpoint_is_bounded() -> None:
    """Further changes are counted."""
    many = [change("added", f".a{n}x", None, "1") for n in range(MAX_CHANGES + 3)]
    [endpoint] = reported(result(1, part("response_body", *many)))
    assert (len(endpoint.changes), endpoint.more) == (MAX_CHANGES, 3)
    assert [*lines_of(endpoint)][-1] == "… 3 more"


def test_a_ci_system_reads_the_report() -> None:
    """An endpoint is a test case; text of a service is escaped."""
    bad = result(1, part("response_body", change("changed", '.a<&"\x00', "\x1b", "]]>")))
    failed = result(
        2, verdict="failed", reason="refused", endpoint="/b", status=None, duration_us=None
    )
    endpoints = reported(
        bad, failed, result(3, endpoint="/c"), result(4, took_us=99_000, endpoint="/d"), slower=2
    )
    root = ET.fromstring(junit_xml(endpoints, {"unsafe": 2}, 'http://a/?x="<&'))
    assert root.attrib == {"tests": "5", "failures": "2", "errors": "1", "skipped": "1"}
    [suite] = root
    assert [(case.attrib["name"], [child.tag for child in case]) for case in suite] == [
        ("GET /users/{id}", ["failure"]),
        ("GET /b", ["error"]),
        ("GET /c", []),
        ("GET /d", ["failure"]),
        ("2 not sent: unsafe", ["skipped"]),
    ]
    assert '.a<&"\\x00 differs' in suite[0][0].attrib["message"]
