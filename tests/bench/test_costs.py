"""The table of what contents cost, and the section of a file that it replaces."""

import pytest

from bench.contents import KINDS, kind_of
from bench.contents.__main__ import main
from bench.contents.costs import BEGIN, END, Cost, Found, costs_table, markdown, per_kib, records_of
from bench.macro.report import replaced


def found(**more: object) -> Found:
    """Return figures of one kind, and of another that one peer did not carry."""
    costs = [
        Cost(system="sidelog", kind="json-16k", records=128, us=250.0, us_kib=12.5),
        Cost(system="sidelog-compiled", kind="json-16k", records=128, us=200.0, us_kib=10.0),
        Cost(system="haproxy", kind="json-16k", records=9000, us=50.0),
        Cost(system="envoy", kind="json-16k", records=8000, us=100.0),
        Cost(system="sidelog", kind="png-60k", records=64, us=1234.0, us_kib=19.4),
        Cost(system="envoy", kind="png-60k", records=700, us=100.0),
    ]
    fields = {
        "when": "2026-11-29T00:00:00+00:00",
        "command": "python -m bench.contents",
        "machine": {"cores": "2"},
        "versions": {"sidelog": "pure build"},
        "load_average": (0.25, 0.0, 0.0),
        "empty_us": {"sidelog": 50.0, "sidelog-compiled": 40.0},
        "costs": costs,
    }
    return Found(**fields | more)  # type: ignore[arg-type]  # values of several types


def test_a_line_a_kind_has_each_sidelog_and_multiples_of_each_peer() -> None:
    header, _, *rows = costs_table(found(), KINDS).splitlines()
    assert header.count("µs a KiB") == 2
    assert rows == [
        "| the same, 16 KB | 16 | 250 | 12.5 | 5.0 | 2.5 | 200 | 10.0 | 4.0 | 2.0 |",
        "| a picture, PNG | 60 | 1,234 | 19.4 | – | 12.3 | – | – | – | – |",
    ]


def test_without_peers_there_are_no_multiples() -> None:
    alone = [cost for cost in found().costs if cost.system == "sidelog"]
    header, *_ = costs_table(found(costs=alone, empty_us={"sidelog": 50.0}), KINDS).splitlines()
    assert header == "| one record, CPU of the collector | KiB | sidelog, µs | µs a KiB |"


def test_what_is_beyond_an_empty_exchange_is_shared_by_the_content() -> None:
    assert per_kib(250.0, 50.0, kind_of("json-16k")) == 12.5
    assert per_kib(50.0, 50.0, kind_of("json-1k")) == 0


def test_small_contents_are_measured_more_often() -> None:
    counts = {kind.name: records_of(kind) for kind in KINDS}
    assert (counts["json-1k"], counts["json-16k"], counts["octets-64k"]) == (2000, 128, 64)


def test_the_section_says_what_was_generated_and_what_was_not_measured() -> None:
    text = markdown(
        found(generated=["fonts", "a table"], skipped={"envoy": "is not installed"}), KINDS
    )
    assert "Not installed, so generated: fonts, a table." in text
    assert "Not measured: envoy: is not installed" in text
    assert "load average before 0.2" in text
    assert replaced(f"a{BEGIN}old{END}b", text, BEGIN, END).startswith(f"a{BEGIN}\n\n2026-11-29")


def test_a_kind_that_is_not_known_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--kinds", "json-1k,lorem"]) == 2
    assert "unknown: lorem; known: json-1k, " in capsys.readouterr().err
