"""Patterns read bytes as bytes, and the short way to ask whether a text holds one gives the answer
of the long one.
"""

import re

import pytest

from proxy.enrich.formats.linear_patterns import compile_bytes, searcher


def test_bytes_are_no_characters() -> None:
    """Text that is not UTF-8, or cut within a character, is searched like any other."""
    pattern = compile_bytes(rb"\xc3.key")
    found = pattern.search("ü".encode()[:1] + b"\xffkey")
    assert found is not None
    assert found.span() == (0, 5)


@pytest.mark.parametrize(
    ("text", "is_held"), [(b"", False), (b"a key", True), (b"\xff key\n", True), (b"k\ney", False)]
)
def test_what_is_held(text: bytes, is_held: bool) -> None:
    """The answer does not depend on google-re2's binding being as we know it."""
    pattern = compile_bytes(b"key")
    assert searcher(pattern)(text) is is_held
    assert searcher(re.compile(b"key"))(text) is is_held
