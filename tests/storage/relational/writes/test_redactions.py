"""Redactions are one text that repeats and, where a rule found more than one place, a few numbers."""

from hypothesis import given
from hypothesis import strategies as st

from storage.relational.writes.redactions import counts_of, pack, unpack

REDACTIONS = st.dictionaries(
    st.text(alphabet=st.sampled_from('ab:",\\\n\0ä'), max_size=6),
    st.integers(1, 3),
    min_size=1,
    max_size=5,
)


@given(REDACTIONS)
def test_redactions_read_back(redactions: dict[str, int]) -> None:
    """Whatever ids consist of."""
    packed = pack(redactions)
    assert packed is not None
    assert unpack(packed, counts_of(redactions)) == redactions


def test_few_texts_repeat() -> None:
    """Neither order nor numbers make another one; one place of each takes no number."""
    assert pack({"b": 1, "a": 7}) == pack({"a": 2, "b": 3})
    assert counts_of({"b": 1, "a": 7}) == [7, 1]
    assert counts_of({"a": 1, "b": 1}) is None
    assert pack(None) is pack({}) is None


def test_what_is_read_is_the_readers_own() -> None:
    """A change to it is none to the next that is read."""
    packed = pack({"a": 1})
    assert packed is not None
    unpack(packed, None)["a"] = 5
    assert unpack(packed, None) == {"a": 1}
