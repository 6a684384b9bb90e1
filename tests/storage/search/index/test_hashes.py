"""Hashes of words are what stores have of them."""

from storage.search.index.hashes import pair_term, prefix_term, term

TO_DO = "with another hash a migration has to empty text_cells, text_segments and text_parts"

KNOWN = [9732380, 10856028, 9162358, 210225, 10298643]
KNOWN_OTHERS = [12614361, 14418391, 3110662]


def test_hashes_stay_as_they_are() -> None:
    """A store that was made before would lack what is looked for."""
    found = [
        term("reset"),
        term("a_longer_word_than_8"),
        term("zürich"),
        term("漢"),
        term("x" * 64),
    ]
    assert found == KNOWN, TO_DO
    assert [prefix_term("rese"), prefix_term("грюс"), pair_term("東", "京")] == KNOWN_OTHERS, TO_DO


def test_kinds_of_terms_are_told_apart() -> None:
    """A word, what begins with it, and two neighbours that would be written so."""
    assert term("user") != prefix_term("user")
    assert term("東京") != pair_term("東", "京")
    assert pair_term("東", "京") != pair_term("京", "東")
    assert prefix_term("userx") == prefix_term("user")
    assert prefix_term("use") is None
    assert term("x" * 100) == term("x" * 64) != term("x" * 63)
