"""Blocks that a read has inflated are inflated once, within bounds."""

from storage.relational.blocks.payloads import RecentBlocks, compress_after


def frame(number: int, size: int = 1000) -> tuple[int, bytes]:
    """Make a block of one letter."""
    return number, compress_after(letter(number) * size, b"")


def letter(number: int) -> bytes:
    """Say what is in a block."""
    return bytes([ord("a") + number])


def test_what_was_inflated_is_not_asked_for_again() -> None:
    """Only what is lacking comes as frames; what is gone is left out."""
    recent = RecentBlocks()
    assert recent.lacking([2, 1, 2]) == [1, 2]
    assert recent.inflated([1, 2], [frame(2)]) == {2: letter(2) * 1000}
    assert recent.lacking([1, 2]) == [1]
    assert recent.inflated([2], []) == {2: letter(2) * 1000}


def test_the_least_recent_go_first() -> None:
    """Above the bound in bytes those go that nobody has asked for since; an answer is whole all the
    same.
    """
    recent = RecentBlocks(max_bytes=2500)
    recent.inflated([1, 2], [frame(1), frame(2)])
    recent.inflated([1], [])
    recent.inflated([3], [frame(3)])
    assert recent.lacking([1, 2, 3]) == [2]
    found = recent.inflated([1, 2, 4], [frame(2), frame(4, 5000)])
    assert {number: len(content) for number, content in found.items()} == {
        1: 1000,
        2: 1000,
        4: 5000,
    }
    assert recent.lacking([1, 2, 3, 4]) == [1, 2, 3, 4]
