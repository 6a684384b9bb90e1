"""Secret names: spellings that are one name, and names that only look alike."""

from proxy.enrich.redact.names import BUILT_IN, SecretNames
from tests.proxy.enrich.redact.field_names import FIELD_NAMES
from tests.support.cases import each_of

TAKEN = ("secret", "other, taken for a secret")


@each_of("kind", FIELD_NAMES)
def test_names_of_public_descriptions(kind: str) -> None:
    """Which of them are taken for secrets is known; a name that is judged better moves to its place
    in the list.
    """
    names = SecretNames(BUILT_IN)
    wrong = [name for name in FIELD_NAMES[kind] if names.has(name.encode()) != (kind in TAKEN)]
    assert wrong == []
    assert len(FIELD_NAMES["secret, missed"]) <= 20
    assert len(FIELD_NAMES["other, taken for a secret"]) <= 11


def test_configured_names_are_added_in_any_spelling() -> None:
    """Groups are united; iteration gives the compared form once each."""
    names = SecretNames(("X-My_Key",), ("xmykey", "other"))
    assert names.has(b"xMyKey")
    assert list(names) == [b"other", b"xmykey"]


def test_memory_of_spellings_is_bounded() -> None:
    """Ten thousand different names leave no more than the bound behind, and verdicts stay right."""
    names = SecretNames(BUILT_IN)
    assert not any(names.has(b"n%d" % number) for number in range(10_000))
    assert not names.has(b"x" * 10_000)
    assert len(names._memo) <= 4096
    assert names.has(b"token")


@each_of("end", [b"x", b"-", b"_id", b"b", b"value1x"])
def test_long_numbers_in_names_are_tried_once(end: bytes) -> None:
    """A run of digits that no tail follows is not tried in all its parts: 26 of them once took 19
    s.
    """
    for digits in (26, 40, 64 * 1024):
        assert not SecretNames(BUILT_IN).has(b"1" * digits + end)
        assert SecretNames(BUILT_IN).has(b"1" * digits + b"password" + b"1" * 26)
