"""The JSON body of a request."""

import msgspec
import pytest

from api.http.errors import Refused
from api.http.params import read_json_body


class Given(msgspec.Struct, forbid_unknown_fields=True):
    """A body."""

    count: int


DECODER = msgspec.json.Decoder(Given)


def test_a_body_is_read() -> None:
    """Into the struct."""
    assert read_json_body(DECODER, b'{"count": 1}', "the thing") == Given(1)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"count": "x"}', "the thing cannot be read: Expected `int`, got `str` - at `$.count`"),
        (
            b'{"count": 1, "more": 2}',
            "the thing cannot be read: Object contains unknown field `more`",
        ),
        (b"{", "the body is not JSON: Input data was truncated"),
        (b'{"count": 1, "\xff": 2}', "the body is not JSON: "),
    ],
)
def test_what_cannot_be_read_is_refused(raw: bytes, message: str) -> None:
    """The message says what it was to be, and why it is not."""
    with pytest.raises(Refused) as caught:
        read_json_body(DECODER, raw, "the thing")
    assert caught.value.status == 400
    assert caught.value.detail.startswith(message)
