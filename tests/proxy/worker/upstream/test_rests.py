"""Connections behind a response of an upstream that fails: real uvicorn, which closes them when it
has logged why.
"""

from typing import Any

import pytest

from tests.proxy.conftest import Start
from tests.support.mcp_server import serving


async def raises_behind_its_answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """An ASGI application with a fault: frameworks answer 500 and raise on, and the server closes
    the connection.
    """
    while (await receive()).get("more_body"):
        pass
    fails = scope["path"] == "/fail"
    await send(
        {
            "type": "http.response.start",
            "status": 500 if fails else 200,
            "headers": [(b"content-length", b"2")],
        }
    )
    await send({"type": "http.response.body", "body": b"ok"})
    if fails:
        raise RuntimeError("unhandled")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("seen", [1, 1000])
def test_what_is_posted_right_behind_an_error_arrives(start: Start, seen: int) -> None:
    """Uvicorn closes unannounced behind an unhandled error, and nothing is posted twice."""
    with serving(raises_behind_its_answer, lifespan="off") as url:
        plane = start(url)
        plane.run(lambda: plane.engine.pools[0]._concurrency.served(seen))
        statuses = []

        with plane.connect() as client:
            for path in (b"/fail", b"/ok", b"/ok") * 20:
                client.send(b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok" % path)
                statuses.append(client.answer().status)

        assert statuses == [500, 200, 200] * 20
        plane.exchanges(60)
