"""The cost of LLM calls, by the price list of the package `genai-prices` (extra `llm`).

Strategy: the list is imported when the first price is needed (240 ms, 40 MB). It is searched by
provider id and model, never by URL, and never updated from the network. Own prices
(`[[llm.prices]]`) take precedence. An unknown price is null. Invariant: nothing here raises.
"""

import importlib
import logging
import re
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from proxy.enrich.facts import OTHER_MODELS, CallUsage, Cost
from proxy.enrich.formats.json_parts import amount_of
from proxy.settings.model import PriceSettings

log = logging.getLogger(__name__)

OWN: Final = "settings"
"""Price source of a cost by `[[llm.prices]]`, followed by the day of the price."""
REPORTED: Final = "reported"
"""Price source of a cost that the provider itself stated."""
LISTED: Final = "genai-prices"
PARTLY: Final = ", partial"
"""Suffix of a price source without the price of some units, listed in `Stream.cost_lacks`."""
_PROVIDER_IDS: Final = {"gemini": "google", "bedrock": "aws"}
"""Provider ids of the list that differ from ours."""
_MAX_UNKNOWN: Final = 1024
"""Limit of memoised models without a price. Each is searched for once."""

_MILLION: Final = 1_000_000
_MAX_MODELS: Final = 256
_PRICES_AGE_S: Final = 1800
_UNITS: Final = {
    "grounded_prompts": "web_searches",
    "file_searches": "storage_searches",
    "document_pages": "input_document_pages",
}
"""Meter names of the list that differ from ours."""
_NOT_BILLED: Final = ("anthropic", "refusal", 0)
"""Provider, reason and output of a call that costs nothing: a refusal before any output."""
_NO_LACK: Final = frozenset(("cache_read_tokens", *OTHER_MODELS))
"""Meters that do not make a cost partial if their price is missing. Cached input without a price is
billed as other input, which costs at least as much; other models are priced separately.
"""
_GOOGLE: Final = "google"
_OF_A_KIND: Final = re.compile(r"(?:input|output|cache)_(?:audio|image|video)(?:_read)?_tokens")
"""Tokens of modalities other than text. Google charges the text price unless the list has its own.
"""
_LISTED_TIERS: Final = frozenset(("default", "standard", "auto", "on_demand"))
"""Tiers charged at the listed prices."""

_PRICED_TIERS: Final = {
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "fast": {"service_tier": "fast", "speed": "fast"},
    "on_demand_flex": {"service_tier": "flex"},
    "on_demand_priority": {"service_tier": "priority"},
}
"""Tiers with prices of their own, and the list's terms for them."""


class Price(NamedTuple):
    """The price of a call by the list."""

    usd: float
    lacks: tuple[str, ...] = ()
    """Meters and tiers without a price. The cost does not include them."""


PriceOf = Callable[[str, str, CallUsage], Price]
"""Return the price by the list's provider id, a model and its counts; raise LookupError if unknown.
"""


def add_costs(costs: Sequence[Cost]) -> Cost:
    """Return the sum of the costs of one call's parts. `costs` must not be empty."""
    lacks = tuple(dict.fromkeys(lack for cost in costs for lack in cost.lacks))
    source = next((cost.source for cost in costs if cost.lacks), costs[0].source)
    return Cost(sum(cost.usd for cost in costs), source, lacks)


def _total(price: PriceSettings, usage: CallUsage) -> float:
    read = usage.cache_read_tokens or 0
    written = usage.cache_write_tokens or 0
    plain = max(0, (usage.input_tokens or 0) - read - written)
    if price.cache_read_usd is None:
        read_usd = price.input_usd
    else:
        read_usd = price.cache_read_usd
    if price.cache_write_usd is None:
        written_usd = price.input_usd
    else:
        written_usd = price.cache_write_usd
    tokens_usd = plain * price.input_usd + read * read_usd + written * written_usd
    tokens_usd += (usage.output_tokens or 0) * price.output_usd
    return tokens_usd / _MILLION + usage.requests * price.call_usd


class Prices:
    """Compute the cost of calls. Not thread-safe: memoises models without a price."""

    def __init__(
        self, load: Callable[[], PriceOf | None] | None = None, own: Sequence[PriceSettings] = ()
    ) -> None:
        """Call `load` when the first price of the list is needed; it returns None if there is no
        list.

        `own` prices take precedence.
        """
        self._own = [(price.models, price.first_day, price) for price in own]
        self._load = load or load_list
        self._price_of: PriceOf | None = None
        self._is_loaded = False
        self._unknown: set[tuple[str, str]] = set()

    def cost_of(self, provider: str, usage: CallUsage) -> Cost | None:
        """Return the cost of a call, None if unknown.

        A cost reported by the provider comes first, then own prices, then the list.
        """
        if usage.cost_usd is not None:
            return Cost(usage.cost_usd, REPORTED)
        if not usage.has_usage or (usage.input_tokens is None and usage.output_tokens is not None):
            return None  # without its input, the cost would be too low

        models = dict.fromkeys((usage.resolved_model, usage.model))
        if self._own and (own := self._own_cost(provider, filter(None, models), usage)) is not None:
            return own

        self.prepare()
        if self._price_of is None:
            return None
        if (provider, usage.finish_reason, usage.output_tokens) == _NOT_BILLED:
            return Cost(0.0, LISTED)

        listed = usage.price_list or _PROVIDER_IDS.get(provider, provider)
        # On Bedrock the requested model includes the region, and prices depend on it. The model in
        # Claude's response does not.
        for model in reversed(models) if provider == "bedrock" else models:
            if model is None:
                price = None
            else:
                price = self._look_up(listed, model, usage)
            if price is not None:
                return Cost(price.usd, LISTED + PARTLY * bool(price.lacks), price.lacks)

        return None

    def cost_of_parts(
        self, provider: str, usage: CallUsage, parts: Sequence[CallUsage]
    ) -> Cost | None:
        """Return the total cost of a call's parts; None if one has no price or incomplete counts."""
        if usage.usage_state != "exact" and usage.cost_usd is None:
            return None  # incomplete counts would cost too little

        costs = [self.cost_of(provider, part) for part in parts]
        if costs and None not in costs:
            return add_costs([cost for cost in costs if cost is not None])
        return None

    def _own_cost(self, provider: str, models: Iterable[str], usage: CallUsage) -> Cost | None:
        """Return the cost by the first price in force with a pattern that matches the model.

        Tokens of all modalities have the same price. Other meters, such as searches, have no price.
        """
        today = datetime.now(UTC).date()
        for model in models:
            for pattern, first_day, price in self._own:
                if first_day > today or price.provider not in ("", provider):
                    continue
                if pattern.fullmatch(model):
                    lacks = tuple(
                        meter
                        for meter, count in usage.meters.items()
                        if count and not _OF_A_KIND.fullmatch(meter)
                    )
                    if price.since:
                        source = f"{OWN}, {price.since}"
                    else:
                        source = OWN
                    return Cost(_total(price, usage), source + PARTLY * bool(lacks), lacks)

        return None

    def prepare(self) -> None:
        """Load the list now. Takes 240 ms; does nothing the second time."""
        if not self._is_loaded:
            self._is_loaded = True
            self._price_of = self._load()

    @property
    def is_prepared(self) -> bool:
        return self._is_loaded

    def must_load(self, usage: CallUsage) -> bool:
        """Return True if the list has to be loaded to price this call."""
        return not self._is_loaded and usage.cost_usd is None and usage.has_usage

    def _look_up(self, provider: str, model: str, usage: CallUsage) -> Price | None:
        # Vertex adds such prefixes, in OpenAI's API and in resource names.
        if provider == _GOOGLE:
            model = model.removeprefix("google/").removeprefix("models/")
        if (provider, model) in self._unknown:
            return None

        assert self._price_of is not None
        try:
            price = self._price_of(provider, model, usage)
            if amount_of(price.usd) is not None:
                return price
            return None
        except LookupError:
            if len(self._unknown) >= _MAX_UNKNOWN:
                self._unknown.clear()
            self._unknown.add((provider, model))
        # A failure of the library must not lose a record.
        except Exception:
            log.debug("the price list failed", exc_info=True)

        return None


def load_list() -> PriceOf | None:
    """Import the price list; None when it is not installed."""
    try:
        library: Any = importlib.import_module("genai_prices")
        units: Any = importlib.import_module("genai_prices.units")
    except ImportError:
        return None
    return _List(library, units._get_registry().units).price_of


class _List:
    """The library, with the prices of up to 256 models cached: a search takes 130 µs."""

    def __init__(self, library: Any, units: Any) -> None:
        self._library = library
        self._units = units
        self._known: dict[tuple[str, str, str, int], tuple[Any, frozenset[str], bool]] = {}

    def price_of(self, provider: str, model: str, usage: CallUsage) -> Price:
        counts = {
            "input_tokens": usage.input_tokens or 0,
            "output_tokens": usage.output_tokens or 0,
        }
        tier = (usage.service_tier or "").lower()
        prices, priced, is_of_tier = self._prices(
            provider, model, tier if tier in _PRICED_TIERS else ""
        )
        lacks = []

        for name, count in _meters_of(usage).items():
            unit = _UNITS.get(name, name)
            is_included = name in _NO_LACK or (provider == _GOOGLE and _OF_A_KIND.fullmatch(name))
            if unit in priced:
                counts[unit] = count
            elif count and not is_included:
                lacks.append(name)

        if tier and tier not in _LISTED_TIERS and not is_of_tier:
            lacks.append(f"service tier {usage.service_tier}")
        if usage.region:
            lacks.append(f"inference in {usage.region}")
        # Several requests are priced by their average, as a long request may cost more per token.
        number = usage.requests
        average: dict[str, int | Decimal] = {**counts}
        if number > 1:
            average = {name: Decimal(count) / number for name, count in counts.items()}
        total = prices.calc_price(self._library.Usage(**average))["total_price"] * number
        return Price(float(total), tuple(lacks))

    def _prices(self, provider: str, model: str, tier: str) -> tuple[Any, frozenset[str], bool]:
        """Return a model's current prices, the counts that have one, and True if the tier has its
        own prices.
        """
        key = (provider, model, tier, int(time.time()) // _PRICES_AGE_S)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _MAX_MODELS:
                self._known.clear()
            usage = self._library.Usage(input_tokens=1)
            about = {"model_ref": model, "provider_id": provider}
            listed = self._library.calc_price(usage, **about).model_price
            found = listed

            if tier:
                found = self._library.calc_price(
                    usage, **about, price_context=_PRICED_TIERS[tier]
                ).model_price

            units = (
                unit
                for unit in self._units.values()
                if getattr(found, unit.price_key, None) is not None
            )
            known = self._known[key] = (
                found,
                frozenset(unit.usage_key for unit in units),
                found != listed,
            )

        return known


def _meters_of(usage: CallUsage) -> dict[str, int]:
    """Return the priced units other than input and output.

    Zero meters are kept: a zero is the overlap of two others.
    """
    counts = {
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
    }
    return {name: count for name, count in counts.items() if count} | usage.meters
