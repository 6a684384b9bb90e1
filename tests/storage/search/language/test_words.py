"""The words of the search, and near misses of them."""

from storage.aggregates import FACETS
from storage.search.language.words import ALIASES, WORDS, closest


def test_words_are_well_made() -> None:
    """Aliases lead to words, facets exist, examples use their word."""
    assert set(ALIASES.values()) <= WORDS.keys()
    assert {word.facet for word in WORDS.values()} - {None} <= FACETS.keys()
    assert all(f"{word.name}:" in word.example for word in WORDS.values())


def test_the_closest_come_first() -> None:
    """A typing error is recognised; nonsense has nothing near."""
    assert closest("statsu")[0] == "status"
    assert closest("usr")[0] == "user"
    assert closest("xyzzyx") == []
