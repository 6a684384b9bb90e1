"""What a soak says of samples: how much grew behind the first quarter, and what is a problem."""

from typing import Any

import pytest

from bench.macro.measure import percentile
from bench.soak import Sample, growth, problems, slope_per_h, windows

HOUR_S = 3600.0


def sample(at_s: float, rss_mib: float, descriptors: int = 30) -> Sample:
    """A moment of one process."""
    return Sample(at_s, {"collector": rss_mib}, {"collector": rss_mib / 2}, {"collector": descriptors}, 20.0, 1.0)


def test_growth_is_that_behind_the_first_quarter() -> None:
    """What caches take at first is not counted; what comes afterwards is, by hour."""
    filling = [sample(at_s, 50 + at_s / 10) for at_s in range(0, 900, 10)]
    steady = [sample(at_s, 140 + 2 * at_s / HOUR_S, 30 + at_s // 600) for at_s in range(900, 3600, 10)]
    grown = growth(filling + steady, HOUR_S)["collector"]
    assert grown["rss_mib_per_h"] == pytest.approx(2.0)
    assert grown["pss_mib_per_h"] == pytest.approx(1.0)
    assert grown["descriptors"] == pytest.approx(4.0, abs=0.5)


def test_a_line_of_one_point_does_not_rise() -> None:
    """Nor does none."""
    assert slope_per_h([]) == slope_per_h([(5.0, 7.0)]) == 0.0


def test_answers_are_summed_up_by_part_of_the_run() -> None:
    """Each part has its own percentiles; parts in which nothing was sampled are left out."""
    took = [(100.0 + at_s, 0.001 * (1 + at_s // 30)) for at_s in range(60)]
    parts = windows([sample(5, 50), sample(35, 50)], took, began_s=100.0, seconds=60.0)
    assert [(part["from_min"], part["answers"], part["p99_ms"]) for part in parts] == [(0.0, 10, 1.0), (0.5, 10, 2.0)]
    assert percentile([], 0.99) == 0.0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"errors": {"TimeoutError": 1}}, ["errors"]),
        ({"failures": {"tail ended": 1}}, ["failures"]),
        ({"visits": {0: 2, 200: 5}}, ["no answer to a visit"]),
        ({"ledger": {"dropped": {"ring_full": 1}}}, ["dropped"]),
        ({"most_of_cap": 1.2}, ["size"]),
        ({"growth": {"worker": {"rss_mib_per_h": 1.5, "descriptors": 0.0}}}, ["memory of worker"]),
        ({"growth": {"worker": {"rss_mib_per_h": 0.5, "descriptors": 9.0}}}, ["descriptors of worker"]),
    ],
)
def test_what_does_not_hold_is_named(change: dict[str, Any], expected: list[str]) -> None:
    """Losses, failures, a store over its cap, and growth."""
    fine = {
        "errors": {}, "failures": {}, "visits": {200: 5}, "ledger": {"dropped": {}}, "most_of_cap": 0.9,
        "growth": {"worker": {"rss_mib_per_h": 0.5, "descriptors": 2.0}},
    }  # fmt: skip
    assert problems(fine | change) == expected
