"""What a rule looks for around its literal."""

from proxy.enrich.redact.forms import Form
from proxy.enrich.redact.rule import Rule

_KEY = Form(
    Rule(
        id="key", of="x", literals=("k-", "k-live-"), regex="k-[A-Za-z0-9-]{8,}", check="not-words"
    )
)
_PART = Form(
    Rule(id="part", of="x", literals=("@h",), regex="[a-z]{1,8}:([a-z0-9]+)@h", before=32, group=1)
)


def test_what_is_behind_the_literal_is_judged() -> None:
    """The longest one counts: a placeholder behind it is none."""
    assert _KEY.match(b"k-live-aB3dE5fG", 0, is_octets=False) == (0, 15, True)
    assert _KEY.match(b"k-live-placeholder", 0, is_octets=False) == (0, 18, False)
    assert _KEY.match(b"k-short", 0, is_octets=False) is None


def test_a_literal_may_stand_within() -> None:
    """The match has it, and begins near before it."""
    assert _PART.match(b"x ada:hunter2@h", 13, is_octets=False) == (6, 13, True)
    assert _PART.match(b"x ada:@h ada:b", 6, is_octets=False) is None


def test_only_what_begins_with_its_literal_begins_a_word() -> None:
    assert _KEY.begins_word(b"k-")
    assert not _PART.begins_word(b"h")
    assert not _KEY.begins_word(b"://")
