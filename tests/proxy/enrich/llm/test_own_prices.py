"""Prices of the settings: which one is a model's, and what a call costs by it."""

from collections.abc import Sequence
from typing import Any

from proxy.enrich.facts import CallUsage, Cost
from proxy.enrich.llm.prices import LISTED, OWN, PARTLY, REPORTED, Price, Prices
from proxy.settings.model import PriceSettings
from tests.support.cases import each_of

CONTRACT = PriceSettings(
    model="acme-*", input_usd=2, output_usd=10, cache_read_usd=0.2, since="2026-03-01"
)
LOCAL = PriceSettings(model="*", provider="ollama", call_usd=0.001)


def cost(own: Sequence[PriceSettings], provider: str = "openai", **usage: Any) -> Cost:
    """What a call costs, where the list has a dollar for everything."""
    counts: dict[str, Any] = {
        "model": "acme-large",
        "input_tokens": 1000,
        "output_tokens": 100,
    } | usage
    found = Prices(lambda: lambda *_: Price(1.0), own).cost_of(provider, CallUsage(**counts))
    assert found is not None
    return found._replace(usd=round(found.usd, 9))


def test_an_own_price_comes_before_the_list() -> None:
    """The record says where the price is from, and of which day."""
    assert cost([CONTRACT]) == Cost(0.003, f"{OWN}, 2026-03-01")
    assert cost([PriceSettings(model="acme-large", input_usd=1)]) == Cost(0.001, OWN)
    assert cost([]) == Cost(1.0, LISTED)


def test_what_the_provider_reported_comes_before_all() -> None:
    """It is what is paid."""
    assert cost([CONTRACT], cost_usd=0.5) == Cost(0.5, REPORTED)


@each_of(
    ("price", "provider", "is_taken"),
    [
        (PriceSettings(model="acme-*", call_usd=3), "openai", True),
        (PriceSettings(model="*large", call_usd=3), "openai", True),
        (PriceSettings(model="acme.large", call_usd=3), "openai", False),
        (PriceSettings(model="acme", call_usd=3), "openai", False),
        (PriceSettings(model="*", provider="ollama", call_usd=3), "openai", False),
        (PriceSettings(model="*", provider="ollama", call_usd=3), "ollama", True),
        (PriceSettings(model="*", since="2999-01-01", call_usd=3), "openai", False),
    ],
)
def test_a_price_is_taken_where_all_of_it_fits(
    price: PriceSettings, provider: str, *, is_taken: bool
) -> None:
    """Pattern, provider and day; * is any text, all else stands for itself."""
    found = cost([price], provider)
    assert (found.usd == 3) is is_taken


def test_the_first_that_fits_is_taken() -> None:
    """So a rise is one more price in front of the old one, with its day."""
    rise = PriceSettings(model="acme-*", input_usd=4, since="2999-01-01")
    assert cost([rise, CONTRACT, LOCAL]) == cost([CONTRACT])


def test_cached_input_has_its_price_or_that_of_input() -> None:
    """Counts of input include it."""
    counts: dict[str, Any] = {
        "cache_read_tokens": 600,
        "cache_write_tokens": 300,
        "output_tokens": 0,
    }
    assert cost([CONTRACT], **counts) == Cost(
        round((100 * 2 + 600 * 0.2 + 300 * 2) / 1e6, 9), f"{OWN}, 2026-03-01"
    )
    dear = PriceSettings(model="*", input_usd=2, cache_write_usd=5)
    assert cost([dear], **counts) == Cost(round((100 * 2 + 600 * 2 + 300 * 5) / 1e6, 9), OWN)


def test_what_it_has_no_price_of_is_said() -> None:
    """Tokens of other kinds are tokens; searches are not."""
    meters = {"web_searches": 3, "input_audio_tokens": 10}
    assert cost([LOCAL], "ollama", meters=meters) == Cost(0.001, OWN + PARTLY, ("web_searches",))
