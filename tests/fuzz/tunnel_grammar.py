"""WebSocket sessions: handshakes, answers to them, and frames both ways: in order, nearly so, or
none at all.
"""

from random import Random
from typing import Final, Literal, NamedTuple

from tests.fuzz.request_grammar import SMUGGLED, make_cuts, mutate

End = Literal["client ends", "client leaves", "client resets", "upstream ends", "upstream resets"]
ENDS: Final[tuple[End, ...]] = (
    "client ends",
    "client leaves",
    "client resets",
    "upstream ends",
    "upstream resets",
)

HANDSHAKES: Final = tuple(
    b"GET /chat HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\nSec-WebSocket-Version: 13\r\n\r\n"
    for fields in (
        b"Upgrade: websocket\r\nConnection: Upgrade",
        b"Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade",
        b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Extensions: "
        b"permessage-deflate",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0",
    )
)
SWITCHING: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
)
OPENINGS: Final = (
    SWITCHING,
    SWITCHING,
    SWITCHING,
    b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + SWITCHING,
    b"HTTP/1.1 101 Up\r\nConnection: upgrade, x\r\nupgrade: WebSocket\r\nSec-WebSocket-Accept: "
    b"x\r\n\r\n",
)
REFUSED: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
    b"HTTP/1.1 426 Upgrade Required\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
)
_SIZES: Final = (0, 0, 1, 5, 125, 126, 127, 300, 70_000)
_OPCODES: Final = (0, 1, 1, 1, 2, 2, 8, 9, 10)
_BAD_OPCODES: Final = (3, 7, 11, 15)


class TunnelCase(NamedTuple):
    """One run's input."""

    handshake: bytes
    opening: bytes
    """How the upstream answers it."""
    is_opened: bool
    data: bytes
    """What the client sends behind its handshake."""
    cuts: list[int]
    reply: bytes
    """What the upstream sends behind its answer."""
    reply_cuts: list[int]
    early: int
    """How many of the client's pieces come before the answer."""
    end: End
    is_clean: bool
    order: int
    """Seed of what happens when."""


def make_tunnel_case(random: Random) -> TunnelCase:
    """Make one input."""
    is_opened = random.random() < 0.85
    data = _session(random, is_masked=True)
    reply = _session(random, is_masked=False)
    if not is_opened and random.random() < 0.5:
        data = random.choice((SMUGGLED, SMUGGLED + data, b""))
    cuts = make_cuts(random, len(data))
    return TunnelCase(
        random.choice(HANDSHAKES),
        random.choice(OPENINGS if is_opened else REFUSED),
        is_opened,
        data,
        cuts,
        reply if is_opened else b"",
        make_cuts(random, len(reply)) if is_opened else [],
        random.choice((0, 0, 1, len(cuts) + 1)),
        random.choice(ENDS),
        is_clean=False,
        order=random.randrange(1 << 30),
    )


def _session(random: Random, *, is_masked: bool) -> bytes:
    """Frames of one direction."""
    raw = b"".join(
        _frame(random, is_masked=is_masked) for _ in range(random.choice((0, 1, 2, 3, 6)))
    )
    if random.random() < 0.2:
        raw += random.choice(
            (SMUGGLED, b"\x00\xff", b"HTTP/1.1 200 OK\r\n\r\n", random.randbytes(40))
        )

    return mutate(random, raw) if random.random() < 0.3 else raw


def _frame(random: Random, *, is_masked: bool) -> bytes:
    opcode = random.choice(_BAD_OPCODES if random.random() < 0.1 else _OPCODES)
    size = random.choice(_SIZES[:5] if opcode >= 8 and random.random() < 0.8 else _SIZES)
    first = opcode | random.choice((0x80, 0x80, 0x80, 0x00, 0xC0)) | (0x80 if opcode >= 8 else 0)
    payload = random.randbytes(size)
    mask = random.randbytes(4) if is_masked or random.random() < 0.1 else b""
    bit = 0x80 if mask else 0

    if size < 126:
        length = bytes([bit | size])
    elif size < 1 << 16:
        length = bytes([bit | 126]) + size.to_bytes(2, "big")
    else:
        length = bytes([bit | 127]) + size.to_bytes(8, "big")

    return bytes([first]) + length + mask + payload
