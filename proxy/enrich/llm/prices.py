"""The cost of LLM calls, from the price list of `genai-prices`, where that is installed (extra `llm`).

Strategy: imported once, when the first price is needed (240 ms, 40 MB); searched by provider id and model, never by
URL; never updated from the network. A price that cannot be found is null. Invariant: nothing here raises.
"""

import importlib
import logging
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from proxy.enrich.formats.json_parts import amount_of
from proxy.enrich.llm.call import CallUsage

log = logging.getLogger(__name__)

REPORTED: Final = "reported"
"""Price source of a cost that the provider itself stated."""
LISTED: Final = "genai-prices"
_PROVIDER_IDS: Final = {"gemini": "google"}
"""Where the list has another id for a provider."""
_MAX_UNKNOWN: Final = 1024
"""Models without a price that are memoised, so that each is searched for once."""

PriceOf = Callable[[str, str, CallUsage], float | None]
"""From the list's provider id, a model and its counts to US dollars; raises LookupError for what it does not know."""


class Cost(NamedTuple):
    """A cost and where it comes from."""

    usd: float
    source: str


class Prices:
    """Looks costs up. Not thread-safe: it memoises models without a price."""

    def __init__(self, load: Callable[[], PriceOf | None] | None = None) -> None:
        """Call `load` when the first price is needed; it returns None without a list."""
        self._load = load or load_list
        self._price_of: PriceOf | None = None
        self._is_loaded = False
        self._unknown: set[tuple[str, str]] = set()

    def cost_of(self, provider: str, usage: CallUsage) -> Cost | None:
        """Return the cost of a call as reported, else by the list; None when neither knows."""
        if usage.cost_usd is not None:
            return Cost(usage.cost_usd, REPORTED)
        if not usage.has_usage:
            return None
        if not self._is_loaded:
            self._is_loaded = True
            self._price_of = self._load()
        if self._price_of is None:
            return None
        for model in dict.fromkeys((usage.resolved_model, usage.model)):
            usd = None if model is None else self._look_up(_PROVIDER_IDS.get(provider, provider), model, usage)
            if usd is not None:
                return Cost(usd, LISTED)
        return None

    def must_load(self, usage: CallUsage) -> bool:
        """Whether the list has to be loaded before the cost of a call is known."""
        return not self._is_loaded and usage.cost_usd is None and usage.has_usage

    def _look_up(self, provider: str, model: str, usage: CallUsage) -> float | None:
        if (provider, model) in self._unknown:
            return None
        assert self._price_of is not None
        try:
            return amount_of(self._price_of(provider, model, usage))
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
    except ImportError:
        return None

    def price_of(provider: str, model: str, usage: CallUsage) -> float | None:
        counts = library.Usage(
            input_tokens=usage.input_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            output_tokens=usage.output_tokens,
        )
        return float(library.calc_price(counts, model_ref=model, provider_id=provider).total_price)

    return price_of
