"""Costs: reported, listed, or not known."""

from typing import Any

import pytest

from proxy.enrich.facts import CallUsage, Cost
from proxy.enrich.llm.prices import (
    LISTED,
    PARTLY,
    REPORTED,
    Price,
    PriceOf,
    Prices,
    load_list,
)
from tests.support.cases import each_of


class Listed:
    """A price list that counts how often it is loaded and asked."""

    def __init__(self) -> None:
        self.loads = 0
        self.asked: list[tuple[str, str]] = []

    def load(self) -> PriceOf:
        """Load it."""
        self.loads += 1
        return self.price_of

    def price_of(self, provider: str, model: str, reading: CallUsage) -> Price:
        """Know one model, break at another."""
        self.asked.append((provider, model))
        if model == "broken":
            raise ZeroDivisionError
        if (provider, model) != ("google", "gemini-pro"):
            raise LookupError(model)
        return Price(0.5, ("web_searches",) if reading.meters else ())


def test_reported_cost_wins() -> None:
    """A cost that the provider reported is not computed."""
    listed = Listed()
    reading = CallUsage(model="gemini-pro", input_tokens=5, cost_usd=0.25)
    assert Prices(listed.load).cost_of("gemini", reading) == Cost(0.25, REPORTED)
    assert listed.loads == 0


def test_listed_cost() -> None:
    """The list is loaded at the first need, asked under its own name of the provider, for the model
    that answered.
    """
    listed = Listed()
    prices = Prices(listed.load)
    assert prices.cost_of("gemini", CallUsage(model="gemini-pro")) is None
    assert listed.loads == 0
    reading = CallUsage(model="gemini-pro", resolved_model="gemini-pro-001", input_tokens=5)
    for _ in range(3):
        assert prices.cost_of("gemini", reading) == Cost(0.5, LISTED)
    assert listed.loads == 1
    assert listed.asked[:2] == [("google", "gemini-pro-001"), ("google", "gemini-pro")]
    assert listed.asked.count(("google", "gemini-pro-001")) == 1


def test_a_profile_of_bedrock_has_its_own_price() -> None:
    """A global one is a tenth cheaper than what its answer, without a place in its name, would be
    taken for.
    """
    resolved = "claude-haiku-4-5-20251001"
    usage: dict[str, Any] = {
        "input_tokens": 1_000_000,
        "output_tokens": 100_000,
        "resolved_model": resolved,
    }
    prices = Prices(load_list)
    world = prices.cost_of("bedrock", CallUsage(model=f"global.anthropic.{resolved}-v1:0", **usage))
    region = prices.cost_of("bedrock", CallUsage(model=f"eu.anthropic.{resolved}-v1:0", **usage))
    assert world is not None
    assert region is not None
    assert (world.usd, region.usd) == pytest.approx((1.5, 1.65))
    unnamed = prices.cost_of(
        "bedrock",
        CallUsage(model="arn:aws:bedrock:eu-west-1:1:application-inference-profile/x", **usage),
    )
    assert unnamed == region


def test_trouble_of_the_list_is_no_price() -> None:
    """Unknown models, a broken list and none at all give null."""
    listed = Listed()
    for model in ("broken", "unknown"):
        assert Prices(listed.load).cost_of("openai", CallUsage(model=model, input_tokens=1)) is None
    assert Prices(lambda: None).cost_of("openai", CallUsage(model="x", input_tokens=1)) is None
    assert (
        Prices().cost_of("no-such-provider", CallUsage(model="no-such-model", input_tokens=1))
        is None
    )


def test_who_must_load_the_list_is_told_before() -> None:
    """The list is loaded once, and only for a call without a reported cost."""
    prices = Prices(Listed().load)
    priced = CallUsage(model="gemini-pro", input_tokens=5)
    assert not prices.must_load(CallUsage(model="gemini-pro"))
    assert not prices.must_load(CallUsage(model="gemini-pro", input_tokens=5, cost_usd=0.25))
    assert prices.must_load(priced)
    prices.cost_of("gemini", priced)
    assert not prices.must_load(priced)


def test_what_the_list_cannot_price_is_said() -> None:
    """An incomplete cost is partial, and names the units without a price."""
    usage = CallUsage(model="gemini-pro", input_tokens=5, meters={"web_searches": 2})
    assert Prices(Listed().load).cost_of("gemini", usage) == Cost(
        0.5, LISTED + PARTLY, ("web_searches",)
    )


@each_of(
    ("provider", "model", "more", "usd", "lacks"),
    [
        # Prices per million of the list of 0.2.3: gpt-4o 2.5 in, 1.25 cached, 10 out; 10 a thousand
        # searches.
        ("openai", "gpt-4o", {"output_tokens": 100, "cache_read_tokens": 400}, 0.003, ()),
        ("openai", "gpt-4o", {"meters": {"web_searches": 2}}, 0.0225, ()),
        ("openai", "gpt-4o", {"service_tier": "default"}, 0.0025, ()),
        ("openai", "gpt-4o", {"service_tier": "flex"}, 0.0025, ("service tier flex",)),
        # Half of it at leisure, twice as much in a hurry, where the list says so.
        ("openai", "gpt-5", {"service_tier": "flex"}, 0.000625, ()),
        ("openai", "gpt-5", {"service_tier": "priority"}, 0.0025, ()),
        ("openai", "gpt-5", {"service_tier": "batch"}, 0.000625, ()),
        ("anthropic", "claude-opus-5", {"service_tier": "fast"}, 0.01, ()),
        (
            "anthropic",
            "claude-opus-5",
            {"service_tier": "priority"},
            0.005,
            ("service tier priority",),
        ),
        # 15 in, 18.75 written for five minutes, 30 for an hour
        (
            "anthropic",
            "claude-opus-4-1",
            {"cache_write_tokens": 800, "meters": {"cache_write_1h_tokens": 300}},
            (200 * 15 + 500 * 18.75 + 300 * 30) / 1e6,
            (),
        ),
        (
            "openai",
            "gpt-4o-audio-preview",
            {"meters": {"input_audio_tokens": 500}},
            0.0025,
            ("input_audio_tokens",),
        ),
        (
            "gemini",
            "gemini-2.5-flash",
            {"input_tokens": 9, "meters": {"grounded_prompts": 1}},
            0.0350027,
            (),
        ),
    ],
)
def test_all_meters_are_priced_by_the_list(
    provider: str, model: str, more: dict[str, Any], usd: float, lacks: tuple[str, ...]
) -> None:
    """Each meter is paid at its own price, or is named as lacking one."""
    pytest.importorskip("genai_prices")
    usage: dict[str, Any] = {"model": model, "input_tokens": 1000}
    cost = Prices(load_list).cost_of(provider, CallUsage(**usage | more))
    assert cost is not None
    assert cost.usd == pytest.approx(usd)
    assert cost.lacks == lacks


@pytest.mark.parametrize("tier", ["flex", "ON_DEMAND_FLEX"])
def test_vertex_names_its_tiers_otherwise(tier: str) -> None:
    """A call of the flex tier costs half, under either name."""
    pytest.importorskip("genai_prices")
    usual, patient = (
        Prices(load_list).cost_of(
            "gemini", CallUsage(model="gemini-3.8-flash-tts", input_tokens=1000, service_tier=name)
        )
        for name in ("standard", tier)
    )
    assert usual is not None
    assert patient == Cost(usual.usd / 2, LISTED)


def test_prices_change_on_the_half_hour() -> None:
    """Prices are remembered until the next half hour: no constraint of the list begins between."""
    snapshot: Any = pytest.importorskip("genai_prices.data_snapshot").get_snapshot()
    for provider in snapshot.providers:
        for model in provider.models:
            for price in model.prices if isinstance(model.prices, list) else ():
                for name in ("start_time", "end_time"):
                    moment = getattr(price.constraint, name, None)
                    assert moment is None or (moment.minute % 30, moment.second) == (0, 0)
