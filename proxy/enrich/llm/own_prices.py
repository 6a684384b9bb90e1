"""Prices that an operator set (`[[llm.prices]]`): of a negotiated contract, of own models, of what no list has.

Strategy: the first price whose pattern is the model's, and whose day has come, is taken. Kinds of tokens that are no
text are paid as the others; what is counted beside tokens, such as web searches, has no price here.
"""

import re
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

from proxy.enrich.llm.call import CallUsage
from proxy.settings.model import PriceSettings

_MILLION: Final = 1_000_000


class Owned(NamedTuple):
    """What a call costs by such a price."""

    usd: float
    since: str
    """The price's day; empty: it has none."""


class OwnPrices:
    """Prices in their order."""

    def __init__(self, prices: Sequence[PriceSettings]) -> None:
        """Read their patterns and days, which are checked with the settings."""
        self._prices = [(_pattern(price.model), _since_s(price.since), price) for price in prices]

    def cost_of(self, provider: str, model: str, usage: CallUsage) -> Owned | None:
        """Return what a call costs; None where no price is its."""
        now_s = time.time()
        for pattern, since_s, price in self._prices:
            if since_s <= now_s and price.provider in ("", provider) and pattern.fullmatch(model):
                return Owned(_total(price, usage), price.since)
        return None


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, text.split("*"))), re.DOTALL)


def _since_s(day: str) -> float:
    return datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC).timestamp() if day else 0.0


def _total(price: PriceSettings, usage: CallUsage) -> float:
    read, written = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
    plain = max(0, (usage.input_tokens or 0) - read - written)
    read_usd = price.input_usd if price.cache_read_usd is None else price.cache_read_usd
    written_usd = price.input_usd if price.cache_write_usd is None else price.cache_write_usd
    tokens_usd = plain * price.input_usd + read * read_usd + written * written_usd
    return (tokens_usd + (usage.output_tokens or 0) * price.output_usd) / _MILLION + usage.requests * price.call_usd
