"""How long texts may be for all of them to have so many characters together."""

from hypothesis import given
from hypothesis import strategies as st

from api.native.chat.shortened import MARK_CHARACTERS, MIN_CHARACTERS, cut, share_of


@given(st.lists(st.integers(0, 5000), max_size=30), st.integers(0, 60_000))
def test_all_room_is_used_and_no_more(lengths: list[int], characters: int) -> None:
    """Short texts are whole; long ones share the rest, but keep a least of each."""
    share = share_of(lengths, characters)
    total = sum(min(length, share) for length in lengths)
    assert total <= max(characters, sum(min(length, MIN_CHARACTERS) for length in lengths))

    if sum(lengths) <= characters:
        assert total == sum(lengths)
    elif share > MIN_CHARACTERS:
        assert total > characters - len(lengths)


@given(st.text(max_size=600), st.integers(0, 500))
def test_a_cut_text_has_both_ends_and_says_what_is_missing(text: str, characters: int) -> None:
    """A text that fits stays as it is."""
    short = cut(text, characters)
    if len(text) <= characters:
        assert short == text
        return

    assert len(short) <= characters + MARK_CHARACTERS
    assert f"{len(text) - characters:,} characters" in short
    tail = characters // 3
    assert short.startswith(text[: characters - tail])
    assert short.endswith(text[len(text) - tail :])
