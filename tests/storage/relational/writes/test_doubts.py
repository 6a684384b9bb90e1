"""What one writer does not know about its commits."""

from storage.record import Entry
from storage.relational.writes.doubts import Doubts
from tests.storage.samples import make_record


def entries_of(*names: bytes) -> list[Entry]:
    return [Entry(make_record(id=name * 16)) for name in names]


def test_what_turns_out_to_be_stored_is_left_out() -> None:
    """In whatever batches it comes again, until one with it is stored; then the same id is a new
    matter.
    """
    doubts = Doubts()
    first, second, third = entries_of(b"a", b"b", b"c")
    doubts.note([first, second])
    assert list(doubts.entries) == [first, second]
    doubts.settle({b"a" * 16: 7, b"b" * 16: 8})
    assert not doubts.entries
    assert doubts.unsettled([second, third]) == [third]
    assert doubts.unsettled([first]) == []
    assert (first.record.seq, second.record.seq) == (7, 8)
    doubts.forget([first, third])
    assert doubts.unsettled([first, second]) == [first]


def test_an_answer_ends_the_doubt() -> None:
    """Nothing is left to be asked for, and what is known of older batches stays."""
    doubts = Doubts()
    older, newer = entries_of(b"a", b"b")
    doubts.settle({b"a" * 16: 7})
    doubts.note([newer])
    doubts.clear()
    assert not doubts.entries
    assert doubts.unsettled([older, newer]) == [newer]
