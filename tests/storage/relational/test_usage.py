"""Use of models, added up: what counts, what is cut, and what an hour counts apart."""

from storage.relational.rollups import OTHER, ValueLimits
from storage.relational.time_ranges import HOUR_US
from storage.relational.usage import (
    CAPPED_SHIFT,
    DIMENSIONS,
    MEASURES,
    UsageSums,
    can_count,
    total,
)
from tests.storage.samples import make_record
from tests.support.filters import make_filter
from tests.support.memory_aggregates import UsageTally, count_usage

NOTHING = (0,) * (len(DIMENSIONS) - 1)


def test_only_calls_of_models_count() -> None:
    """Other exchanges, and other events, are none; unknown tokens and costs are not zero but not
    counted.
    """
    tally = UsageTally()
    count_usage(tally, make_record())
    count_usage(tally, make_record(kind="event"))
    count_usage(tally, make_record(provider="openai", kind="event", model="m"))
    count_usage(tally, make_record(provider="openai", model="m", input_tokens=5, cost_usd=0.1))
    count_usage(tally, make_record(provider="openai", model="m", cost_usd=0.2))
    count_usage(tally, make_record(provider="openai", model="m"))
    (found,) = tally.models()
    assert (found.calls, found.counted, found.priced, found.input_tokens, found.cost_usd) == (
        4,
        1,
        2,
        5,
        0.3,
    )


def test_what_is_claimed_does_not_overflow() -> None:
    """Absurd counts and costs are cut in sums, so that no store refuses them."""
    tally = UsageTally()
    count_usage(tally, make_record(provider="p", output_tokens=(1 << 63) - 1, cost_usd=1e300))
    (found,) = tally.models()
    assert (found.output_tokens, found.cost_usd) == (10**12, 1000.0)


def test_the_total_is_that_of_all_models() -> None:
    """Also where there are none."""
    tally = UsageTally()
    for number in range(3):
        count_usage(
            tally, make_record(provider="p", model=f"m{number}", input_tokens=number, cost_usd=0.1)
        )

    assert (total(tally.models()).calls, total(tally.models()).input_tokens) == (3, 3)
    assert total(tally.models()).cost_usd == 0.3
    assert total([]).calls == 0


def test_an_hour_counts_so_many_models_apart() -> None:
    """Further ones are counted as others, and the store is told of which dimension."""
    sums = UsageSums()
    limits = ValueLimits(max_values=2, places=range(len(DIMENSIONS)))
    for model in range(1, 6):
        sums.add(
            make_record(provider="p", started_at_us=7 * HOUR_US, input_tokens=1),
            (*NOTHING[:-1], model, 0),
        )

    assert sums.hours == {7}
    limits.learn(7, [])
    rows, capped = sums.admitted(limits)
    assert {key[-3]: measures[0] for key, measures in rows.items()} == {1: 1, 2: 1, OTHER: 3}
    assert all(len(measures) == len(MEASURES) for measures in rows.values())
    assert capped == 1 << (CAPPED_SHIFT + DIMENSIONS.index("model"))
    assert not can_count(make_filter(models=("m",)), capped)
    assert can_count(make_filter(providers=("p",)), capped)
