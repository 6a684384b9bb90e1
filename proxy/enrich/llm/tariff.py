"""The prices of one model, as `genai-prices` lists them, ready to be multiplied.

Strategy: the library looks at every unit it knows, and at how they contain each other, for every call: 60 to 120 µs.
All of that follows from the model and from which counts there are, so it is worked out once, and what is left is a
product a unit: 4 µs (bench.micro, enrich).

Invariant: a sum that the library would not give is never given. It has to agree once for each set of counts; what it
refuses, and what is no sum of parts here, it is asked for every time.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

_MAX_SHAPES: Final = 64
"""Sets of counts that are remembered of one model: few occur."""
_ROUNDING: Final = Decimal("1e-20")
"""Of an average, against the sum."""
_REQUESTS: Final = "requests"
"""A unit that every call has one of."""

Rate = tuple[Decimal, tuple[tuple[int, Decimal], ...]]
"""Price of so many, and prices of calls with more input than this, the largest first."""


class Tariff:
    """Not thread-safe: it remembers for which sets of counts it agrees with the library."""

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
