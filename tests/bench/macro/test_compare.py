"""Two trees in turns: what is made of the pairs."""

import math

import pytest

from bench.macro.compare import Comparison, compared, markdown


def test_a_ratio_is_the_mean_over_pairs_with_its_error() -> None:
    """Each pair was measured side by side, so ratios are averaged, not sums divided."""
    found = compared("get", "worker", [(20.0, 22.0), (40.0, 36.0), (10.0, 10.0)])
    assert (found.before_us, found.now_us, found.ratio) == (20.0, 22.0, 1.0)
    assert found.error == pytest.approx(0.1 / math.sqrt(3), abs=1e-4)


def test_one_pair_has_no_error() -> None:
    """A single turn says nothing of noise."""
    assert compared("get", "collector", [(20.0, 19.0)]) == Comparison(
        scenario="get", role="collector", before_us=20.0, now_us=19.0, ratio=0.95, error=0.0
    )


def test_the_table_names_scenario_role_and_ratio() -> None:
    """One line per comparison."""
    assert markdown([compared("get", "worker", [(20.0, 19.0)])]).splitlines()[-1] == (
        "| get | worker | 20.0 | 19.0 | 0.950 ± 0.000 |"
    )
