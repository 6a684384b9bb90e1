"""Secrets that are known by a literal."""

import pytest

from proxy.enrich.redact.edits import most_candidates
from proxy.enrich.redact.rule import Rule
from proxy.enrich.redact.scanner import Scanner, begins_secret, begins_within
from proxy.enrich.redact.windows import without_beginning

_KEY = b"tok_aB3dE5fG7hI9jK1l"
_FORMS = Scanner(
    (
        Rule(id="token", of="x", literals=("tok_",), regex="tok_[A-Za-z0-9]{16,}", check="random"),
        Rule(id="region", of="x", literals=("-us",), regex="[a-f0-9]{8}-us[0-9]", before=8),
        Rule(id="part", of="x", literals=("key=",), regex="key=([a-z]{4,})", group=1),
    )
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (_KEY, [(0, 20, "token")]),
        (b"x" + _KEY, []),
        (b"1" + _KEY, []),
        (b"_" + _KEY, [(1, 21, "token")]),
        (b"\\n" + _KEY, [(2, 22, "token")]),
        (b"\\u0020" + _KEY, [(6, 26, "token")]),
        (b"%20" + _KEY, [(3, 23, "token")]),
        (b"tok_" + b"x" * 20, []),
        (b"01234567-us1", [(0, 12, "region")]),
        (b"x01234567-us1", []),
        (b"-us-us-us", []),
        (b"key=abcd", [(4, 8, "part")]),
    ],
)
def test_secrets_begin_where_words_do(text: bytes, found: list[tuple[int, int, str]]) -> None:
    """An escape that is not read ends a word; what is named begins behind an underscore."""
    assert [(start, stop, rule) for start, stop, _, rule in _FORMS.forms(text)] == found


def test_octets_have_lengths_before_texts() -> None:
    """Which may be letters."""
    assert [edit.start for edit in _FORMS.forms(b"x" + _KEY, is_octets=True)] == [1]


def test_long_matches_are_found_whole() -> None:
    """However long: also beyond what is usual."""
    text = b"tok_" + b"aB3dE5fG" * 1000
    assert [edit.stop for edit in _FORMS.forms(text)] == [len(text)]


def test_a_text_full_of_literals_is_searched_at_once() -> None:
    """What is behind as many as are looked around one by one is found all the same, and judged."""
    text = b"-us1 " * 1000
    assert most_candidates(text) < 1000
    text += b"01234567-us1 x01234567-us1 " + _KEY
    found = [(edit.start, edit.rule) for edit in _FORMS.forms(text)]
    assert found == [(5000, "region"), (5027, "token")]
    own = Rule(id="own", of="x", literals=("own-",), regex="own-[a-z]+$", check="")
    text = b"own- " * 1000 + b"own-a"
    assert [(edit.start, edit.stop) for edit in Scanner((own,)).forms(text)] == [(5000, 5005)]


def test_secrets_are_known_by_their_beginnings() -> None:
    """Where a window cuts them off."""
    assert begins_secret(b"ghp_ab")
    assert not begins_secret(b"words")
    assert without_beginning(b"see sk-ab") == b"see [REDACTED]"
    assert without_beginning(b"see words") == b"see words"
    assert begins_within(b"AAAA+ghp_aB3dE5fG7hI9jK1lM2nO4pQ6rS8tU0vWxYz1")
    assert not begins_within(b"AAAA+ghpBBBB")
