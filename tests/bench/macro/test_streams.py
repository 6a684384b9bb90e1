"""Event streams over real sockets: every chunk arrives, and is counted once."""

import socket

import pytest

from bench.macro.streams import Streams, chunk


def test_every_event_is_counted_with_its_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients straight at the source: as many events as were sent, one a read when they are far apart."""
    monkeypatch.setattr("bench.macro.streams.PATIENCE_S", 100.0)
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        streams = Streams(listener.getsockname(), listener, 5)
        streams.open_all()
        streams.run(interval_s=0.02, seconds=0.2)
        streams.close()
    assert (len(streams.delays_us), streams.errors) == (50, 0)
    assert 0 < streams.reads <= 50
    assert min(streams.delays_us) >= 0


def test_a_chunk_carries_its_time() -> None:
    """Framed as HTTP frames it, RFC 9112, section 7.1."""
    text = chunk(1_234_567)
    size, _, rest = text.partition(b"\r\n")
    assert len(rest) == int(size, 16) + 2
    assert rest.startswith(b"data: 00000000000001234567 ")
    assert rest.endswith(b"\n\n\r\n")
