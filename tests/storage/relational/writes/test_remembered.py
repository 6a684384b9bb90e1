"""What remembered text takes."""

from storage.relational.writes.remembered import MAX_REMEMBERED_BYTES, entry_bytes


def test_letters_count_as_much_as_they_take() -> None:
    """Python has one, two or four bytes for each letter of a text, by the widest of them."""
    assert entry_bytes("x" * 1000) < entry_bytes("\u0101" * 1000) < entry_bytes("\U0001f600" * 1000)
    assert entry_bytes("\U0001f600" * 1000) >= 4000


def test_ordinary_values_have_room() -> None:
    assert (
        MAX_REMEMBERED_BYTES
        // entry_bytes("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101")
        > 50_000
    )
