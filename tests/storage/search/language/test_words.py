"""The words of the search: each API filter has one, and near misses are recognised."""

import re
from pathlib import Path

from api.http.params import FILTER_PARAMETERS
from storage.aggregates import FACETS
from storage.search.language.words import ALIASES, PREFIXES, WORDS, closest, find_word

WITHOUT_WORD = {"query", "header", "min_latency_ms", "max_latency_ms"}
"""The search itself; `header` goes on with a name; the two bounds are read as `duration`."""


def test_every_parameter_has_its_word() -> None:
    """What the API can filter by can be said in a search, under the same name."""
    assert {name for name in FILTER_PARAMETERS - WITHOUT_WORD if find_word(name) is None} == set()


def test_words_are_well_made() -> None:
    """Aliases lead to words, facets exist, examples use their word."""
    assert set(ALIASES.values()) <= WORDS.keys()
    assert {word.facet for word in WORDS.values()} - {None} <= FACETS.keys()
    assert all(f"{word.name}:" in word.example for word in WORDS.values())


def test_the_ui_offers_words_only() -> None:
    """A filter of the UI is a word, or begins one that goes on with a name; what the box completes
    is `/api/words`.
    """
    text = Path("api/ui/lib/filter.js").read_text()
    lists = text[text.index("PARAMETERS = [") : text.index("const FIELDS")]
    offered = set(re.findall(r'"([a-z_]+\.?)"', lists)) - {"q", "_ms"} - WITHOUT_WORD
    assert len(offered) == 26
    assert {
        name for name in offered if find_word(name) is None and name.rstrip(".") not in PREFIXES
    } == set()


def test_the_closest_come_first() -> None:
    """A typing error is recognised; nonsense has nothing near."""
    assert closest("statsu")[0] == "status"
    assert closest("usr")[0] == "user"
    assert closest("xyzzyx") == []
