"""What an LLM call cost: the price list of `genai-prices`, where that is installed (extra `llm`).

Strategy: imported when the first price is asked for, once (240 ms, 40 MB); asked by provider id and model, never by
URL; never updated from the network. A price that cannot be found is null. Invariant: nothing here raises.
"""

import importlib
import logging
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from proxy.enrich.formats.json_parts import amount_of
from proxy.enrich.llm.call import Reading

log = logging.getLogger(__name__)

REPORTED: Final = "reported"
"""Price source of a cost that the provider itself stated."""
LISTED: Final = "genai-prices"
_PROVIDER_IDS: Final = {"gemini": "google"}
"""Where the list calls a provider otherwise than we do."""
_MAX_UNKNOWN: Final = 1024
"""Models without a price that are remembered, so that each is looked for once."""

PriceOf = Callable[[str, str, Reading], float | None]
"""From the list's provider id, a model and its counts to US dollars; raises LookupError for what it does not know."""


class Cost(NamedTuple):
    """US dollars, and who says so."""

    usd: float
    source: str


class Prices:
    """Finds costs. Not thread-safe: it remembers what has none."""

    def __init__(self, load: Callable[[], PriceOf | None] | None = None) -> None:
        """Ask what `load` returns, when the first price is needed; None: nobody."""
        self._load = load or load_list
        self._price_of: PriceOf | None = None
        self._is_loaded = False
        self._unknown: set[tuple[str, str]] = set()

    def cost_of(self, provider: str, reading: Reading) -> Cost | None:
        """Find the cost of a call: as reported, else by the list; None when neither knows."""
        if reading.cost_usd is not None:
            return Cost(reading.cost_usd, REPORTED)
        if not reading.has_usage:
            return None
        if not self._is_loaded:
            self._is_loaded = True
            self._price_of = self._load()
        if self._price_of is None:
            return None
        for model in dict.fromkeys((reading.resolved_model, reading.model)):
            usd = None if model is None else self._ask(_PROVIDER_IDS.get(provider, provider), model, reading)
            if usd is not None:
                return Cost(usd, LISTED)
        return None

    def must_load(self, reading: Reading) -> bool:
        """Whether the cost of a call is not to be had without loading the list first."""
        return not self._is_loaded and reading.cost_usd is None and reading.has_usage

    def _ask(self, provider: str, model: str, reading: Reading) -> float | None:
        if (provider, model) in self._unknown:
            return None
        assert self._price_of is not None
        try:
            return amount_of(self._price_of(provider, model, reading))
        except LookupError:
            if len(self._unknown) >= _MAX_UNKNOWN:
                self._unknown.clear()
            self._unknown.add((provider, model))
        except Exception:  # a library's own trouble must not cost a record
            log.debug("the price list failed", exc_info=True)
        return None


def load_list() -> PriceOf | None:
    """Import the price list; None when it is not installed."""
    try:
        library: Any = importlib.import_module("genai_prices")
    except ImportError:
        return None

    def price_of(provider: str, model: str, reading: Reading) -> float | None:
        usage = library.Usage(
            input_tokens=reading.input_tokens,
            cache_read_tokens=reading.cache_read_tokens,
            cache_write_tokens=reading.cache_write_tokens,
            output_tokens=reading.output_tokens,
        )
        return float(library.calc_price(usage, model_ref=model, provider_id=provider).total_price)

    return price_of
