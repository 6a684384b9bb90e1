"""Why there was no answer is said in words, with the address where nothing took the connection."""

import aiohttp
import pytest

from proxy.network.unanswered import why_unanswered
from tests.support.ports import free_port


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
