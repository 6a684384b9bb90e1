"""What the scanner looks for finds whatever the names know."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.redact.names import BUILT_IN, COMMON_ENDINGS, TAILS, WORDS, SecretNames
from proxy.enrich.redact.naming.anchors import anchors_of
from proxy.enrich.redact.naming.keys import KeyFinder, unescaped
from proxy.enrich.redact.scanner import Scanner
from tests.proxy.enrich.redact.field_names import FIELD_NAMES
from tests.support.cases import each_of

NAMES = SecretNames(BUILT_IN, ["a.b*c", "pässwort"])
SCANNER = Scanner((), anchors_of(NAMES.spelled))


def is_found(quoted: bytes) -> bool:
    """Whether a quoted name is found as a key."""
    return KeyFinder(quoted + b":1", NAMES, SCANNER).search(0) is not None


parts = st.sampled_from(
    [
        *BUILT_IN,
        *COMMON_ENDINGS,
        *TAILS,
        *(word.decode() for word in WORDS),
        "db",
        "has",
        "next",
        "x",
    ]
)
joiners = st.sampled_from(["", "-", "_", "."])


@given(
    st.lists(st.tuples(joiners, parts), min_size=1, max_size=4),
    st.booleans(),
    st.sampled_from(["", "1", "_2", "s"]),
)
def test_what_the_names_know_is_found(
    words: list[tuple[str, str]], is_camel: bool, end: str
) -> None:
    """Each name of such words in some spelling."""
    name = "".join(joiner + (word.title() if is_camel else word) for joiner, word in words) + end
    if NAMES.has(name.encode()):
        quoted = f'"{name}"'.encode()
        assert is_found(quoted)


@each_of("name", FIELD_NAMES["secret"])
def test_real_names_are_found(name: str) -> None:
    """Plainly, with an escaped letter, and in capitals."""
    for spelling in (name, name.upper()):
        if NAMES.has(spelling.encode()):
            assert is_found(f'"{spelling}"'.encode())
    quoted = f'"\\u00{ord(name[0]):02x}{name[1:]}"'.encode()
    assert is_found(quoted)
    assert unescaped(quoted) == f'"{name}"'.encode()


@each_of("name", ["compass", "key", "max_tokens", "author", "Enter your password", "PÄSSWORT1x"])
def test_others_are_not_sought(name: str) -> None:
    """What the pre-filter would stop at for nothing."""
    assert not is_found(f'"{name}"'.encode())


def test_configured_names_are_found_as_they_are() -> None:
    """Whatever they are made of."""
    for name in ("a.b*c", "pässwort", "ab*c"):
        assert is_found(f'"{name}"'.encode())
    assert not is_found(b'"aXbbc"')


def test_no_name_is_sought_for_what_another_finds() -> None:
    """The fewer are sought, the less memory the search takes."""
    anchors = anchors_of(frozenset(("access_key", "access_keys", "pass", "pass word")))
    assert b"access_key" in anchors
    assert b"access_keys" not in anchors
    # A blank ends a name in a text, so that `pass` alone would not lead to the value.
    assert b"pass word" in anchors
