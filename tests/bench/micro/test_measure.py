"""The timing loop counts operations, not calls, and leaves out what happens between rounds."""

import itertools

import pytest

from bench.micro.__main__ import suites, table
from bench.micro.measure import ROUNDS, Measure, measured


def test_the_figure_is_per_operation_without_the_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A round of 10 operations in 50 ns costs 5 ns each, whatever happens between rounds; the first is a warm-up."""
    now = 0
    lengths = itertools.chain([9_000], itertools.repeat(50))
    pauses = 0

    def run() -> int:
        nonlocal now
        now += next(lengths)
        return 10

    def between() -> None:
        nonlocal now, pauses
        now += 1_000_000
        pauses += 1

    monkeypatch.setattr("time.perf_counter_ns", lambda: now)
    assert measured("thing", run, between) == Measure(name="thing", ns=5, fastest_ns=5, slowest_ns=5)
    assert pauses == ROUNDS + 1


def test_the_table_names_each_figure_in_microseconds() -> None:
    """Each row has suite, name and three figures."""
    rows = table({"ring": [Measure(name="push", ns=770, fastest_ns=700, slowest_ns=1_000)]}).splitlines()
    assert rows[1].split() == ["ring:", "push", "0.770", "0.700", "1.000"]


def test_an_unknown_name_measures_nothing() -> None:
    """Only modules that were named are run."""
    assert suites(["nothing_of_that_name"]) == {}
