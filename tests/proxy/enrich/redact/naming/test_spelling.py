"""Patterns of names: they find whatever the names know."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.formats.linear_patterns import compile_bytes
from proxy.enrich.redact.names import BUILT_IN, COMMON_ENDINGS, TAILS, WORDS, SecretNames
from proxy.enrich.redact.naming.spelling import spelled, spelled_plainly, unescaped
from tests.proxy.enrich.redact.field_names import FIELD_NAMES
from tests.support.cases import each_of

NAMES = SecretNames(BUILT_IN, ["a.b*c", "pässwort"])
PLAIN = compile_bytes(b'(?i)"' + spelled_plainly(NAMES, rb'[^"\s]*') + b'"')
ESCAPED = compile_bytes(b'(?i)"' + spelled(NAMES, rb'[^"\s]*') + rb'\\*"')

parts = st.sampled_from(
    [*BUILT_IN, *COMMON_ENDINGS, *TAILS, *(word.decode() for word in WORDS), "db", "has", "next", "x"]
)
joiners = st.sampled_from(["", "-", "_", "."])


@given(
    st.lists(st.tuples(joiners, parts), min_size=1, max_size=4), st.booleans(), st.sampled_from(["", "1", "_2", "s"])
)
def test_what_the_names_know_the_patterns_find(words: list[tuple[str, str]], is_camel: bool, end: str) -> None:
    """Each name of such words in some spelling."""
    name = "".join(joiner + (word.title() if is_camel else word) for joiner, word in words) + end
    if NAMES.has(name.encode()):
        quoted = f'"{name}"'.encode()
        assert PLAIN.search(quoted)
        assert ESCAPED.search(quoted)


@each_of("name", FIELD_NAMES["secret"])
def test_real_names_are_found(name: str) -> None:
    """Plainly, with an escaped letter, and in capitals."""
    for spelling in (name, name.upper()):
        if NAMES.has(spelling.encode()):
            assert PLAIN.search(f'"{spelling}"'.encode())
    quoted = f'"\\u00{ord(name[0]):02x}{name[1:]}"'.encode()
    assert ESCAPED.search(quoted)
    assert unescaped(quoted) == f'"{name}"'.encode()


@each_of("name", ["compass", "key", "max_tokens", "author", "Enter your password", "PÄSSWORT1x"])
def test_others_are_not_sought(name: str) -> None:
    """What the pre-filter would stop at for nothing."""
    assert PLAIN.search(f'"{name}"'.encode()) is None


def test_configured_names_are_found_as_they_are() -> None:
    """Whatever they are made of."""
    for name in ("a.b*c", "pässwort", "ab*c"):
        assert PLAIN.search(f'"{name}"'.encode())
    assert PLAIN.search(b'"aXbbc"') is None
