"""Parts of JSON are read for what they should be, or not at all."""

import json

import msgspec
import pytest

from proxy.enrich.formats.json_parts import decode, first_count, sum_of


def test_counts_of_several_places() -> None:
    """What is no count is passed over; nought is one."""
    assert (first_count(None, "7", True, 0, 5), first_count(None, -1)) == (0, None)
    assert (sum_of((3, None, 4.0, "1")), sum_of((0,)), sum_of((None,))) == (7, 0, None)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("cut \ud83d", "cut \ufffd"),
        ("\ude00 tail", "\ufffd tail"),
        ("\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        ("\\\ud83d and \\ud83d", "\\\ufffd and \\ud83d"),
        ("\U0001f600\n\u00e9\ud83d\ud83d", "\U0001f600\n\u00e9\ufffd\ufffd"),
    ],
)
def test_halves_of_surrogate_pairs(text: str, read: str) -> None:
    """As JavaScript and Python write a text that was cut within an emoji: it costs that character, not the document."""
    document = json.dumps({"text": text}).encode()
    assert decode(msgspec.json.Decoder(dict[str, str]), document) == {"text": read}
    assert decode(msgspec.json.Decoder(), document[:-1]) is None
    assert decode(msgspec.json.Decoder(dict[str, int]), document) is None
