"""Tariffs give what the library gives, to the last digit, for every model of its list."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.llm.prices import Tariff

genai_prices = pytest.importorskip("genai_prices")
UNITS: Any = pytest.importorskip("genai_prices.units")._get_registry().units
PROVIDERS: Any = pytest.importorskip("genai_prices.data_snapshot").get_snapshot().providers
NOON, NIGHT = datetime(2026, 6, 1, 12, tzinfo=UTC), datetime(2026, 6, 1, 20, tzinfo=UTC)
PRICES = [model.get_prices(moment) for provider in PROVIDERS for model in provider.models for moment in (NOON, NIGHT)]
NAMES = (
    "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "input_audio_tokens", "output_audio_tokens",
    "cache_audio_read_tokens", "output_image_tokens", "web_searches", "audio_seconds", "rerank_searches",
)  # fmt: skip
COUNTS = st.one_of(st.integers(0, 20), st.integers(0, 10**6), st.just(10**15))


def listed(prices: Any, counts: dict[str, int]) -> float | None:
    try:
        return float(prices.calc_price(genai_prices.Usage(**counts))["total_price"])
    except ValueError:
        return None


def ours(tariff: Tariff, counts: dict[str, int]) -> float | None:
    try:
        return tariff.total(dict(counts))
    except ValueError:
        return None


def test_every_model_of_the_list() -> None:
    """Where the library has agreed once, and where it has not, below and above every tier."""
    assert len(PRICES) > 500
    for prices in PRICES:
        tariff = Tariff(prices, UNITS, genai_prices.Usage)
        for given_tokens in (0, 7, 199_999, 200_001, 10_000_000):
            counts = {"input_tokens": given_tokens, "output_tokens": 3}
            if "cache_read_tokens" in tariff.counts:
                counts["cache_read_tokens"] = given_tokens // 3
            assert ours(tariff, counts) == ours(tariff, counts) == listed(prices, counts), (prices, counts)


@given(
    st.integers(0, len(PRICES) - 1),
    st.lists(
        st.tuples(COUNTS, COUNTS, st.dictionaries(st.sampled_from(NAMES), COUNTS, max_size=4)), min_size=1, max_size=4
    ),
)
def test_any_counts(place: int, calls: list[tuple[int, int, dict[str, int]]]) -> None:
    """One after the other on one tariff: sums, and refusals of counts that contradict each other."""
    tariff = Tariff(PRICES[place], UNITS, genai_prices.Usage)
    for given_tokens, output, more in calls:
        priced = {name: count for name, count in more.items() if name in tariff.counts and count}
        counts = {"input_tokens": given_tokens, "output_tokens": output, **priced}
        assert ours(tariff, counts) == listed(PRICES[place], counts)


class Disagreeing:
    """Prices of a library that does not add up."""

    def __init__(self) -> None:
        self.input_mtok = Decimal(2)
        self.asked = 0

    def calc_price(self, _: object) -> dict[str, Decimal]:
        """Charge double."""
        self.asked += 1
        return {"total_price": Decimal(4)}


def test_the_library_has_the_last_word() -> None:
    """What it does not agree to is asked for every time."""
    prices = Disagreeing()
    tariff = Tariff(prices, UNITS, genai_prices.Usage)
    for number in (1, 2, 3):
        assert tariff.total({"input_tokens": 10**6, "output_tokens": 0}) == 4.0
        assert prices.asked == number


def test_the_library_is_asked_once() -> None:
    """For each set of counts, whatever their size."""
    prices = genai_prices.calc_price(
        genai_prices.Usage(input_tokens=1), model_ref="gpt-4o", provider_id="openai"
    ).model_price
    asked: list[dict[str, int]] = []

    def usage(**counts: int) -> Any:
        asked.append(counts)
        return genai_prices.Usage(**counts)

    tariff = Tariff(prices, UNITS, usage)
    for number in range(1, 9):
        tariff.total({"input_tokens": number, "output_tokens": 5})
    assert len(asked) == 1
    tariff.total({"input_tokens": 9, "output_tokens": 5, "cache_read_tokens": 2})
    assert len(asked) == 2
    with pytest.raises(ValueError, match="cache_read_tokens"):
        tariff.total({"input_tokens": 1, "output_tokens": 5, "cache_read_tokens": 2})


def test_prices_change_on_the_half_hour() -> None:
    """So long they are remembered, from one half hour to the next: no constraint of the list begins in between."""
    for provider in PROVIDERS:
        for model in provider.models:
            for price in model.prices if isinstance(model.prices, list) else ():
                for name in ("start_time", "end_time"):
                    moment = getattr(price.constraint, name, None)
                    assert moment is None or (moment.minute % 30, moment.second) == (0, 0)
