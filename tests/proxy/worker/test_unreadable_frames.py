"""Bytes in a WebSocket that are no frames: they pass, and the record says that what followed them
could not be read.
"""

import pytest

from proxy.ring.exchange import NOTE_MESSAGES_DROPPED, NOTE_MESSAGES_UNREADABLE
from tests.proxy.conftest import Start
from tests.proxy.worker.test_downstream import LOOPS
from tests.proxy.worker.test_fairness import HANDSHAKE, SWITCH, entries, silent_tunnel
from tests.support.plane import Loop
from tests.support.upstream import read_head

TEXT = b"\x81\x85\0\0\0\0hello"


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    "odd", [b"\x83\x80mask", b"\xa1\x80mask", b"\x89\xfe\0\x7emask" + bytes(126)]
)
def test_messages_behind_what_is_no_frame_are_missed(start: Start, odd: bytes, loop: Loop) -> None:
    """A reserved opcode, a bit that nobody agreed on, a ping that is too long: nobody can hide
    behind them.
    """
    plane = start(silent_tunnel, loop=loop)
    with plane.connect() as client:
        client.send(HANDSHAKE)
        client.head()
        client.send(TEXT + odd + TEXT * 50)

    (exchange,), messages = entries(plane, 1)
    assert [message.data for message in messages] == [b"hello"]
    assert exchange.notes[NOTE_MESSAGES_UNREADABLE] == b"\x01"
    assert int.from_bytes(exchange.notes[NOTE_MESSAGES_DROPPED], "little") == 1
    assert plane.counters().dropped_messages == 1


def test_each_direction_is_told(start: Start) -> None:
    """The other one is read on as long as it can be."""

    def upstream(connection: object, number: int) -> None:
        read_head(connection)  # type: ignore[arg-type]
        connection.sendall(SWITCH + b"\x83\0" + b"\x81\x02no")  # type: ignore[attr-defined]
        while connection.recv(1 << 18):  # type: ignore[attr-defined]
            pass

    plane = start(upstream)
    with plane.connect() as client:
        client.send(HANDSHAKE)
        client.head()
        client.send(TEXT + b"\x83\x80mask")

    (exchange,), messages = entries(plane, 1)
    assert [message.data for message in messages] == [b"hello"]
    assert exchange.notes[NOTE_MESSAGES_UNREADABLE] == b"\x03"
