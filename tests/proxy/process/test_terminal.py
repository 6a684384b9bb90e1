"""What a terminal would obey is spelt out, and nothing else is touched."""

import json
import re
import unicodedata

from proxy.process.terminal import UNSAFE, json_escaped, visible, visible_line, without_credentials
from tests.support.cases import each_of

OBEYED = [
    "\x1b]0;title\x07", "\x1b[2J", "\x9b2J", "\x9d52;c;aGk=\x9c", "\x07", "\x7f", "\r", "\u202e", "\u2066", "\u200f",
    "\u2028",
]  # fmt: skip


@each_of("text", OBEYED)
def test_nothing_is_obeyed(text: str) -> None:
    """In a line, in a text, in JSON, which stays the same document."""
    document = json.dumps(f"a{text}b", ensure_ascii=False)
    for shown in (visible(text), visible_line(text), json_escaped(document)):
        assert not re.search(f"[{UNSAFE}]", shown)
        assert shown.isprintable()
    assert json.loads(json_escaped(document)) == f"a{text}b"


def test_letters_stay() -> None:
    """Of every script, with marks and emoji; lines and tabs stay where a text may have them."""
    text = "aü€ 日本 עברית é 👩‍💻"
    assert visible(text) == visible_line(text) == json_escaped(text) == text
    assert visible("a\tb\nc") == "a\tb\nc"
    assert visible_line("a\tb\nc") == "a\\x09b\\x0ac"
    assert visible("a\ud800") == "a\\ud800"


@each_of(
    ("address", "shown"),
    [
        ("http://user:PW@host:80/p", "http://[REDACTED]@host:80/p"),
        ("'https://PW@host'", "'https://[REDACTED]@host'"),
        ("http://user:P@W/P?W@host", "http://[REDACTED]@host"),
        ("user:PW@host", "[REDACTED]@host"),
        ("//PW@host", "//[REDACTED]@host"),
        ("http:/user:PW@host", "http:/[REDACTED]@host"),
        ("postgresql+ssl://user:PW@one,two/logs", "postgresql+ssl://[REDACTED]@one,two/logs"),
        ("['http://a:PW@one', 'http://b:PW@two']", "['http://[REDACTED]@two']"),
        ("http://host:80/p", "http://host:80/p"),
        ("me@example.com", "me@example.com"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_credentials(address: str, shown: str) -> None:
    """Whatever a password holds, and also where the address is none."""
    assert without_credentials(address) == shown


def test_every_control_and_direction_of_unicode_is_covered() -> None:
    """By its category and its bidirectional class, of the version that Python knows."""
    for number in range(0x110000):
        character = chr(number)
        is_obeyed = unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs")
        is_obeyed |= unicodedata.bidirectional(character) in (
            "LRE",
            "RLE",
            "LRO",
            "RLO",
            "PDF",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        )
        if is_obeyed and character not in "\t\n":
            assert visible(character) != character, hex(number)
