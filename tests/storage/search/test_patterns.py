"""Patterns of literal parts, against regular expressions."""

import re

from hypothesis import given
from hypothesis import strategies as st

from storage.search.patterns import is_like, lower_ascii

_TEXT = st.text(alphabet="abAB\0\u00c4%_\udc80", max_size=8)


@given(text=_TEXT, parts=st.lists(_TEXT, min_size=1, max_size=4))
def test_patterns_mean_what_regular_expressions_mean(text: str, parts: list[str]) -> None:
    """Parts in order with anything between them, without regard to ASCII case."""
    pattern = ".*".join(re.escape(lower_ascii(part)) for part in parts)
    assert is_like(text, parts) == bool(re.fullmatch(pattern, lower_ascii(text), re.DOTALL))


def test_only_ascii_is_lowered() -> None:
    """Other letters keep their case, as in SQL."""
    assert lower_ascii("AZ\u00c4") == "az\u00c4"
