"""Trace contexts through the data port: made where none comes, in both engines."""

import pytest

from tests.proxy.conftest import Start
from tests.proxy.http1.test_trace_context import VALID
from tests.support.plane import EngineName
from tests.support.script import Script

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"


def contexts(upstream: Script) -> list[list[bytes]]:
    """The trace contexts of the requests that arrived."""
    return [
        [
            line.partition(b": ")[2]
            for line in request.split(b"\r\n")
            if line.lower().startswith(b"traceparent:")
        ]
        for request in upstream.requests
    ]


@pytest.mark.parametrize("engine", ["protocol", "reference"])
def test_a_request_without_a_context_gets_its_own(start: Start, engine: EngineName) -> None:
    """A new one for each request, also where the head repeats; a valid one passes as it is."""
    upstream = Script()
    plane = start(upstream, engine=engine, trace_context=True)
    with plane.connect() as client:
        for fields in (b"", b"", b"traceparent: x\r\n", VALID + b"\r\n"):
            client.send(GET + fields + b"\r\n")
            assert client.answer().status == 200

    ids = [exchange.id for exchange in plane.exchanges(4)]
    made = [
        [b"00-%b-%b-01" % (record_id.hex().encode(), record_id.hex()[16:].encode())]
        for record_id in ids[:3]
    ]
    assert contexts(upstream) == [*made, [VALID.partition(b": ")[2]]]


def test_off_unless_set(start: Start) -> None:
    """Nothing is added, and what is not valid passes."""
    upstream = Script()
    plane = start(upstream)
    plane.call(GET + b"\r\n")
    plane.call(GET + b"traceparent: x\r\n\r\n")
    assert contexts(upstream) == [[], [b"x"]]
