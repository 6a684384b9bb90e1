"""The cost of LLM calls, from the price list of `genai-prices`, where that is installed (extra `llm`).

Strategy: imported once, when the first price is needed (240 ms, 40 MB); searched by provider id and model, never by
URL; never updated from the network. A price that cannot be found is null. Invariant: nothing here raises.
"""

import importlib
import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from proxy.enrich.formats.json_parts import amount_of
from proxy.enrich.llm.call import OTHER_MODELS, CallUsage
from proxy.enrich.llm.own_prices import OwnPrices
from proxy.settings.model import PriceSettings

_MAX_SHAPES: Final = 64
"""Sets of counts that are remembered of one model: few occur."""
_ROUNDING: Final = Decimal("1e-20")
"""Of an average, against the sum."""
_REQUESTS: Final = "requests"
"""A unit that every call has one of."""

Rate = tuple[Decimal, tuple[tuple[int, Decimal], ...]]
"""Price of so many, and prices of calls with more input than this, the largest first."""


class Tariff:
    """The prices of one model, ready to be multiplied. Not thread-safe.

    The library looks at every unit it knows, and at how they contain each other, for every call: 60 to 120 µs. That
    follows from the model and from which counts there are, so it is worked out once; a product a unit is left: 4 µs
    (bench.micro, enrich). A sum that the library would not give is never given: it has to agree once for each set of
    counts, and what it refuses, or is no sum of parts here, it is asked for every time.
    """

    def __init__(self, prices: Any, units: Mapping[str, Any], usage: Any) -> None:
        """Take the model's prices, the library's units by the name of their counts, and its type of counts."""
        self._listed = prices
        self._usage = usage
        self._agreed: set[tuple[object, ...]] = set()
        by_price = {unit.price_key: unit for unit in units.values()}
        priced = [
            (by_price[key], price) for key, price in vars(prices).items() if price is not None and key in by_price
        ]
        # The smallest parts first: what contains others is the rest of them.
        ordered = sorted((unit for unit, _ in priced), key=lambda unit: (-len(unit.dimensions), unit.usage_key))
        self._parts = [
            (unit.usage_key, [place for place, part in enumerate(ordered[:number]) if _contains(unit, part)])
            for number, unit in enumerate(ordered)
        ]
        self._rates = [(ordered.index(unit), _rate_of(price), unit.per) for unit, price in priced]
        self.counts: Final = frozenset(unit.usage_key for unit in ordered)
        """Names of counts that have a price."""

    def total(self, counts: dict[str, int], requests: int = 1) -> float:
        """Return what counts cost, in US dollars; input and output are there even when they are 0.

        Many requests are priced as so many of their average, because a long request alone may have a higher price.

        Raises:
            ValueError: they contradict each other, or something that contains others is missing.
        """
        shape = (*counts, counts["input_tokens"] > 0, counts["output_tokens"] > 0, requests > 1)
        total = self._add_up(counts, requests)
        if total is None or shape not in self._agreed:
            one = {name: Decimal(count) / requests for name, count in counts.items()} if requests > 1 else counts
            listed: Decimal = self._listed.calc_price(self._usage(**one))["total_price"] * requests
            is_equal = total is not None and abs(total - listed) <= listed * _ROUNDING
            if is_equal and len(self._agreed) < _MAX_SHAPES:
                self._agreed.add(shape)
            total = listed
        return float(total)

    def _add_up(self, counts: Mapping[str, int], requests: int) -> Decimal | None:
        """Add up the price of each part, counted without those it contains; None when one is less than those."""
        alone: list[int] = []
        for name, contained in self._parts:
            count = requests if name == _REQUESTS else counts.get(name, 0)
            for place in contained:
                count -= alone[place]
            if count < 0:
                return None
            alone.append(count)
        total, given = Decimal(0), counts["input_tokens"] / requests
        for place, (rate, tiers), per in self._rates:
            if count := alone[place]:
                for start, dearer in tiers:
                    if given > start:
                        rate = dearer
                        break
                total += rate * count / per
        return total


def _contains(unit: Any, part: Any) -> bool:
    return bool(unit.dimensions.items() <= part.dimensions.items())


def _rate_of(price: Any) -> Rate:
    if isinstance(price, Decimal):
        return price, ()
    return price.base, tuple((tier.start, tier.price) for tier in reversed(price.tiers))


log = logging.getLogger(__name__)

OWN: Final = "settings"
"""Price source of a cost by `[[llm.prices]]`, with the price's day behind it."""
REPORTED: Final = "reported"
"""Price source of a cost that the provider itself stated."""
LISTED: Final = "genai-prices"
PARTLY: Final = ", partial"
"""Behind a source that has no price of something that is paid for: `Stream.cost_lacks` says of what."""
_PROVIDER_IDS: Final = {"gemini": "google", "bedrock": "aws"}
"""Where the list has another id for a provider."""
_MAX_UNKNOWN: Final = 1024
"""Models without a price that are memoised, so that each is searched for once."""

_MAX_MODELS: Final = 256
_PRICES_AGE_S: Final = 1800
_UNITS: Final = {
    "grounded_prompts": "web_searches",
    "file_searches": "storage_searches",
    "document_pages": "input_document_pages",
}
"""Where the list has another name for a meter."""
_NOT_BILLED: Final = ("anthropic", "refusal", 0)
"""Provider, reason and output of a call that costs nothing: it was refused before anything was said."""
_NO_LACK: Final = frozenset(("cache_read_tokens", *OTHER_MODELS))
"""Without a price, what is cached is paid as other input, which is not less; other models have a price of their own."""
_GOOGLE: Final = "google"
_OF_A_KIND: Final = re.compile(r"(?:input|output|cache)_(?:audio|image|video)(?:_read)?_tokens")
"""Tokens that are no text. Google has one price for all kinds but where it lists another."""
_LISTED_TIERS: Final = frozenset(("default", "standard", "auto", "on_demand"))
"""Tiers that have the listed prices."""

_PRICED_TIERS: Final = {
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "fast": {"service_tier": "fast", "speed": "fast"},
    "on_demand_flex": {"service_tier": "flex"},
    "on_demand_priority": {"service_tier": "priority"},
}
"""Tiers that the list has other prices of, where it says so, and how it names them."""


class Price(NamedTuple):
    """The price list's answer about a call."""

    usd: float
    lacks: tuple[str, ...] = ()
    """Meters and tiers that it has no price of: the real cost is another."""


PriceOf = Callable[[str, str, CallUsage], Price]
"""From the list's provider id, a model and its counts; raises LookupError for what it does not know."""


class Cost(NamedTuple):
    """A cost and where it comes from."""

    usd: float
    source: str
    """With `PARTLY` behind it where something is not included."""
    lacks: tuple[str, ...] = ()
    """What it does not include."""


def add_costs(costs: Sequence[Cost]) -> Cost:
    """Add up the costs of the parts of one call, one at least."""
    lacks = tuple(dict.fromkeys(lack for cost in costs for lack in cost.lacks))
    source = next((cost.source for cost in costs if cost.lacks), costs[0].source)
    return Cost(sum(cost.usd for cost in costs), source, lacks)


class Prices:
    """Looks costs up. Not thread-safe: it memoises models without a price."""

    def __init__(self, load: Callable[[], PriceOf | None] | None = None, own: Sequence[PriceSettings] = ()) -> None:
        """Call `load` when the first price of the list is needed; it returns None without a list. `own` come before."""
        self._own = OwnPrices(own) if own else None
        self._load = load or load_list
        self._price_of: PriceOf | None = None
        self._is_loaded = False
        self._unknown: set[tuple[str, str]] = set()

    def cost_of(self, provider: str, usage: CallUsage) -> Cost | None:
        """Return the cost of a call as reported, else by own prices, else by the list; None when none knows."""
        if usage.cost_usd is not None:
            return Cost(usage.cost_usd, REPORTED)
        if not usage.has_usage or (usage.input_tokens is None and usage.output_tokens is not None):
            return None  # output without its input would be priced too cheap
        models = dict.fromkeys((usage.resolved_model, usage.model))
        if self._own is not None and (own := self._own_cost(self._own, provider, filter(None, models), usage)):
            return own
        self.prepare()
        if self._price_of is None:
            return None
        if (provider, usage.finish_reason, usage.output_tokens) == _NOT_BILLED:
            return Cost(0.0, LISTED)
        listed = usage.price_list or _PROVIDER_IDS.get(provider, provider)
        # What is asked for at Bedrock says where it may run, which has its price; what Claude answers does not.
        for model in reversed(models) if provider == "bedrock" else models:
            price = None if model is None else self._look_up(listed, model, usage)
            if price is not None:
                return Cost(price.usd, LISTED + PARTLY * bool(price.lacks), price.lacks)
        return None

    def _own_cost(self, own: OwnPrices, provider: str, models: Iterable[str], usage: CallUsage) -> Cost | None:
        for model in models:
            if (found := own.cost_of(provider, model, usage)) is not None:
                lacks = tuple(name for name, count in usage.meters.items() if count and not _OF_A_KIND.fullmatch(name))
                source = f"{OWN}, {found.since}" if found.since else OWN
                return Cost(found.usd, source + PARTLY * bool(lacks), lacks)
        return None

    def prepare(self) -> None:
        """Load the list now."""
        if not self._is_loaded:
            self._is_loaded = True
            self._price_of = self._load()

    @property
    def is_prepared(self) -> bool:
        return self._is_loaded

    def must_load(self, usage: CallUsage) -> bool:
        """Whether the list has to be loaded before the cost of a call is known."""
        return not self._is_loaded and usage.cost_usd is None and usage.has_usage

    def _look_up(self, provider: str, model: str, usage: CallUsage) -> Price | None:
        if provider == _GOOGLE:  # as Vertex says it in OpenAI's words, and as a resource
            model = model.removeprefix("google/").removeprefix("models/")
        if (provider, model) in self._unknown:
            return None
        assert self._price_of is not None
        try:
            price = self._price_of(provider, model, usage)
            return price if amount_of(price.usd) is not None else None
        except LookupError:
            if len(self._unknown) >= _MAX_UNKNOWN:
                self._unknown.clear()
            self._unknown.add((provider, model))
        except Exception:  # a failure of the library must not cost a record
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
    """The library, with the tariff of each model remembered: a search takes 130 µs."""

    def __init__(self, library: Any, units: Any) -> None:
        self._library = library
        self._units = units
        self._tariffs: dict[tuple[str, str, str, int], tuple[Tariff, bool]] = {}

    def price_of(self, provider: str, model: str, usage: CallUsage) -> Price:
        meters = {"input_tokens": usage.input_tokens or 0, "output_tokens": usage.output_tokens or 0}
        tier = (usage.service_tier or "").lower()
        tariff, is_of_tier = self._tariff(provider, model, tier if tier in _PRICED_TIERS else "")
        lacks = []
        for name, count in _meters_of(usage).items():
            if (unit := _UNITS.get(name, name)) in tariff.counts:
                meters[unit] = count
            elif count and name not in _NO_LACK and not (provider == _GOOGLE and _OF_A_KIND.fullmatch(name)):
                lacks.append(name)
        if tier and tier not in _LISTED_TIERS and not is_of_tier:
            lacks.append(f"service tier {usage.service_tier}")
        if usage.region:
            lacks.append(f"inference in {usage.region}")
        return Price(tariff.total(meters, usage.requests), tuple(lacks))

    def _tariff(self, provider: str, model: str, tier: str) -> tuple[Tariff, bool]:
        """Return the tariff of a model, at this hour: some are cheaper at night; and whether it is the tier's."""
        key = (provider, model, tier, int(time.time()) // _PRICES_AGE_S)
        known = self._tariffs.get(key)
        if known is None:
            if len(self._tariffs) >= _MAX_MODELS:
                self._tariffs.clear()
            usage, about = self._library.Usage(input_tokens=1), {"model_ref": model, "provider_id": provider}
            found = self._library.calc_price(usage, **about).model_price
            of_tier = found
            if tier:
                context = _PRICED_TIERS[tier]
                of_tier = self._library.calc_price(usage, **about, price_context=context).model_price
            tariff = Tariff(of_tier, self._units, self._library.Usage)
            known = self._tariffs[key] = tariff, of_tier != found
        return known


def _meters_of(usage: CallUsage) -> dict[str, int]:
    """Return the priced units beside input and output; a zero among the meters shows how two others overlap."""
    counts = {"cache_read_tokens": usage.cache_read_tokens, "cache_write_tokens": usage.cache_write_tokens}
    return {name: count for name, count in counts.items() if count} | usage.meters
