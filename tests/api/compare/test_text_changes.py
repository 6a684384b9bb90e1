"""Texts by lines, and strings by words."""

from hypothesis import given
from hypothesis import strategies as st

from api.compare.text_changes import MAX_SHOWN_CHARACTERS, segments, text_changes
from tests.support.cases import each_of

TEXTS = st.text("ab \n.", max_size=40)


def shown(old: str, new: str) -> str:
    """Write segments as wdiff does."""
    marks = {"same": ("", ""), "removed": ("[-", "-]"), "added": ("{+", "+}")}
    return "".join(piece.text.join(marks[piece.change]) for piece in segments(old, new))


@given(old=TEXTS, new=TEXTS)
def test_segments_hold_both_strings(old: str, new: str) -> None:
    """What is the same with what was removed is the first, with what was added the second."""
    pieces = segments(old, new)
    if pieces:
        assert "".join(piece.text for piece in pieces if piece.change != "added") == old
        assert "".join(piece.text for piece in pieces if piece.change != "removed") == new


@given(old=TEXTS, new=TEXTS)
def test_texts_without_changes_are_the_same(old: str, new: str) -> None:
    """And the lines that changed are those of their numbers."""
    found = text_changes(old, new).kept
    assert (not found) == (old == new)
    for kind, (at,), (before,), line, other in found:
        if kind != "added":
            assert old.split("\n")[int(str(before).split()[1]) - 1] == line
        if kind != "removed":
            assert new.split("\n")[int(str(at).split()[1]) - 1] == other


@each_of(
    ("old", "new", "expected"),
    [
        ("the cat and the dog", "the cat or the dog", "the cat [-and-]{+or+} the dog"),
        ("chat-1", "chat-2", "chat-[-1-]{+2+}"),
        ("one", "two", ""),
        ("a b", "c d", ""),
        ("Grüße an euch", "Grüße an Zoë", "Grüße an [-euch-]{+Zoë+}"),
        (
            "same " * 100 + "old",
            "same " * 100 + "new",
            "…" + ("same " * 100)[-60:] + "[-old-]{+new+}",
        ),
    ],
)
def test_words_are_apart(old: str, new: str, expected: str) -> None:
    """What is the same stands around them, shortened; strings with no word in common have no
    segments.
    """
    assert shown(old, new) == expected


def test_long_segments_are_cut() -> None:
    """All of them together are no longer than a value."""
    pieces = segments("same " + "old " * 1000, "same " + "new " * 1000)
    assert sum(len(piece.text) for piece in pieces) <= MAX_SHOWN_CHARACTERS + 1
    assert pieces[-1].text.endswith("…")
