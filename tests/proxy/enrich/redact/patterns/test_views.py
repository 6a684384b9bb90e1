"""What a text says, and where that stands in it."""

import json
from urllib.parse import quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.redact.patterns.views import View
from tests.support.cases import each_of


@each_of(
    ("text", "said"),
    [
        (rb"a\n\r\t\b\fb", b"a\n\r\t\b\fb"),
        (rb"\"\\\/\'", b"\"\\/'"),
        (rb"\v\a\e\x41\u{4e}\U00000041\0", b"\v\a\x1bANA\1"),
        (rb"\u0041\u000a\u4e2d\ud83d", b"A\n\xff\xff"),
        (b"%41%0a%C3", b"A\n\xc3"),
        (b"&amp;&lt;&gt;&quot;&apos;&#65;&#x41;&nbsp;&copy;", b"&<>\"'AA \xff"),
        (rb"C:\dir \u12 %zz &longer; &#;", rb"C:\dir \u12 %zz &longer; &#;"),
        (b"a+b%3Dc", b"a b=c"),
        (b"a + b%3Dc", b"a + b=c"),
    ],
)
def test_escapes_are_read(text: bytes, said: bytes) -> None:
    """Those of JSON, URLs and markup; what is none stays, as does a plus sign outside of forms."""
    assert View(text).text == said


def test_text_without_escapes_is_its_own_view() -> None:
    """The same object."""
    text = b"nothing + here"
    assert View(text).text is text


@given(
    st.text(max_size=60),
    st.sampled_from([json.dumps, quote, quote_plus, lambda text: json.dumps(json.dumps(text))]),
)
def test_each_place_is_found_again(text: str, write: object) -> None:
    """What lies between two places of the view is what lies between where they stand, read by
    itself.
    """
    assert callable(write)
    sent = str(write(text)).encode()
    view = View(sent)
    places = [view.place(at) for at in range(len(view.text) + 1)]
    assert places == sorted(places)
    assert (places[0], places[-1]) == (0, len(sent))
    for at in range(len(view.text)):
        piece = sent[places[at] : places[at + 1]]
        assert View(piece).text.replace(b"+", b" ") == view.text[at : at + 1].replace(b"+", b" ")
