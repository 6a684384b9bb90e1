"""A tiny reader of WebSocket frames, written apart from the proxy's own scanner (RFC 6455 §5.2,
§5.4). Pure.
"""

from typing import Final, NamedTuple

_DATA: Final = (1, 2)
_CONTROL: Final = (8, 9, 10)


class Said(NamedTuple):
    """One message, or one control frame."""

    opcode: int
    size: int
    data: bytes
    """The first bytes, unmasked."""
    is_compressed: bool


class _Frame(NamedTuple):
    opcode: int
    is_final: bool
    rsv: int
    size: int
    payload: bytes
    rest: bytes


def read_frames(data: bytes, max_bytes: int) -> list[Said]:
    """Read the messages of one direction up to what is cut or no frame; keep at most `max_bytes` of
    each.
    """
    found: list[Said] = []
    message: list[_Frame] = []
    while (frame := _frame(data)) is not None:
        if not _may_follow(frame, is_open=bool(message)):
            return found
        if len(frame.payload) < frame.size:
            return found

        data = frame.rest
        if frame.opcode in _CONTROL:
            found.append(
                Said(frame.opcode, frame.size, frame.payload[:max_bytes], is_compressed=False)
            )
            continue

        message.append(frame)
        if frame.is_final:
            payload = b"".join(part.payload for part in message)
            found.append(
                Said(message[0].opcode, len(payload), payload[:max_bytes], bool(message[0].rsv & 4))
            )
            message = []

    return found


def _may_follow(frame: _Frame, *, is_open: bool) -> bool:
    """Whether it is a frame that can come here."""
    if frame.rsv & 3 or frame.size >= 1 << 63:
        return False
    if frame.opcode in _CONTROL:
        return frame.is_final and frame.size <= 125
    if frame.opcode in _DATA:
        return not is_open

    return frame.opcode == 0 and is_open


def _frame(data: bytes) -> _Frame | None:
    """Read the header that the bytes begin with, and as much of the payload as is here; None when
    it is cut.
    """
    if len(data) < 2:
        return None
    width = {126: 2, 127: 8}.get(data[1] & 127, 0)
    has_mask = data[1] >= 128
    begin = 2 + width + 4 * has_mask
    if len(data) < begin:
        return None

    size = int.from_bytes(data[2 : 2 + width], "big") if width else data[1] & 127
    payload = data[begin : begin + size]
    if has_mask:
        mask = data[begin - 4 : begin]
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return _Frame(
        data[0] & 15, data[0] >= 128, data[0] >> 4 & 7, size, payload, data[begin + size :]
    )
