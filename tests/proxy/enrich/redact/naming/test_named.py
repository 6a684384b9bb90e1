"""Names that are given a value by what stands before and behind them."""

import pytest

from proxy.enrich.redact.names import BUILT_IN, SecretNames
from proxy.enrich.redact.naming.anchors import anchors_of
from proxy.enrich.redact.naming.named import NameFinder, Naming
from proxy.enrich.redact.scanner import Scanner

NAMES = SecretNames(BUILT_IN)
SCANNER = Scanner((), anchors_of(NAMES.spelled))
LINE = Naming(rb"^[ \t]*", rb"[ \t]*:", rb"[\w-]", has_blanks=True)
INLINE = Naming(rb"[{,][ \t]*", rb":", rb"\w")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"password: x", (0, 9, b"password")),
        (b"a\n  db-password : x", (2, 17, b"db-password")),
        (b"access token: x", (0, 13, b"access token")),
        (b"enter a password: x", None),
        (b"the password is: x", None),
        (b"{password: x}", (0, 10, b"password")),
        (b"max_tokens: 5", None),
    ],
)
def test_names_are_found_with_what_is_around_them(
    text: bytes, found: tuple[int, int, bytes] | None
) -> None:
    """A sentence is none, though it ends in such a word."""
    assert NameFinder(text, NAMES, (LINE, INLINE), SCANNER).search(0) == found


def test_the_one_that_begins_first_counts() -> None:
    """Of two ways to give the same name; and nothing before the place that is asked for."""
    finder = NameFinder(b"{a: 1,\n password: x}", NAMES, (LINE, INLINE), SCANNER)
    assert finder.search(0) == (7, 17, b"password")
    text = b"{a: 1, password: x, token: y}"
    finder = NameFinder(text, NAMES, (LINE, INLINE), SCANNER)
    assert finder.search(0) == (5, 16, b"password")
    assert finder.search(17) == (18, 26, b"token")
    assert finder.search(26) is None
