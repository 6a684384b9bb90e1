"""What is read from the answers to our own requests.

How long a server wants to be left alone: seconds or a date (RFC 9110 §10.2.3).

Why there was no answer is said in words, with the address where nothing took the connection.
"""

import aiohttp
import pytest

from proxy.network.answers import retry_after_s, why_unanswered
from tests.support.cases import each_of
from tests.support.ports import free_port

NOW_S = 784_111_777.0
"""Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110's examples."""


@each_of(
    ("text", "seconds"),
    [
        ("45", 45.0),
        (" 0 ", 0.0),
        ("999999999", 999_999_999.0),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60.0),
        ("Sun, 06 Nov 1994 08:49:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("\u0665", None),
        ("9" * 400, None),
    ],
)
def test_seconds_and_dates_are_read(text: str, seconds: float | None) -> None:
    """What says nothing is None, what is over is 0."""
    assert retry_after_s(text, NOW_S) == seconds


async def test_a_refused_connection_names_its_address() -> None:
    """Without the words of aiohttp and asyncio."""
    port = free_port()
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await session.get(f"http://127.0.0.1:{port}/")

    assert why_unanswered(caught.value) == f"cannot connect to 127.0.0.1:{port}: Connection refused"


def test_another_failure_is_said_as_it_is() -> None:
    """By its name, where it says nothing."""
    assert why_unanswered(aiohttp.ClientPayloadError("cut short")) == "cut short"
    assert why_unanswered(aiohttp.ClientPayloadError()) == "ClientPayloadError"
