"""Words of a column that are stored as numbers."""

import pytest

from storage.relational.sql import CODED
from storage.relational.writes.packing import CODED_PLACES, COLUMNS, code_of
from tests.support.cases import each_of


@each_of("column", CODED)
def test_a_word_is_its_number(column: str) -> None:
    """Each has its own, and reads back by the place of its column."""
    words = dict(CODED_PLACES)[COLUMNS.index(column)]
    assert [words[code_of(column, word)] for word in words] == list(words)


@pytest.mark.parametrize("value", ["loud", None])
def test_another_word_is_refused(value: str | None) -> None:
    """It is named with those there are."""
    with pytest.raises(ValueError, match=r"level .* is not one of debug, info, warn, error"):
        code_of("level", value)
