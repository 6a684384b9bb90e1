"""What is known of marks: what they lead to comes back as it was put, and the bound holds."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.conversations.conversation import MAX_ALIKE, Known, Marks
from proxy.enrich.formats.hashes import HASH_BYTES

KNOWN = st.builds(
    Known, st.binary(min_size=HASH_BYTES, max_size=HASH_BYTES), st.booleans(), st.booleans()
)


@given(st.lists(KNOWN, min_size=1, max_size=2 * MAX_ALIKE))
def test_what_was_put_is_had(known: list[Known]) -> None:
    """The newest of them, in their order."""
    marks = Marks()
    marks.put(b"a", known)
    assert list(marks.get(b"a")) == known[-MAX_ALIKE:]
    assert not marks.get(b"b")


@given(st.lists(st.integers(0, 30), max_size=200), st.integers(2, 12))
def test_the_newest_stay_and_every_other_is_counted(puts: list[int], bound: int) -> None:
    """As many as the bound allows."""
    marks = Marks(max_marks=bound)
    for number in puts:
        marks.put(bytes((number,)), [Known(bytes(HASH_BYTES), has_failed=False)])
    newest = list(dict.fromkeys(reversed(puts)))
    present = [number for number in newest if marks.get(bytes((number,)))]
    assert present == newest[:bound]
    assert marks.evictions >= len(newest) - len(present)
