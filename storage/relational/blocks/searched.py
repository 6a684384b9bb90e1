"""The searched texts of stored heads and bodies: those of many records are decoded at once."""

from typing import Final

import msgspec

from storage.record import Body
from storage.search.searched_text import readable_windows

_LIST: Final = b"\xdd"
"""Begins a list of up to 2^32 values (MessagePack, array 32)."""


class Heads(msgspec.Struct, array_like=True, gc=False):
    """The same of `storage.relational.blocks.payloads.Heads`."""

    request_head: bytes
    response_head: bytes


class Bodies(msgspec.Struct, array_like=True, gc=False):
    """The same of `storage.relational.blocks.payloads.Bodies`."""

    request_body: Body | None
    response_body: Body | None


_heads_decoder: Final = msgspec.msgpack.Decoder(list[Heads])
_bodies_decoder: Final = msgspec.msgpack.Decoder(list[Bodies])


def read_heads(raw: bytes, count: int) -> list[Heads]:
    """Decode heads that follow each other.

    Raises:
        msgspec.DecodeError: there are not so many.
    """
    return _heads_decoder.decode(b"".join([_LIST, count.to_bytes(4, "big"), raw]))


def read_bodies(raw: bytes, count: int) -> list[Bodies]:
    """Do the same with bodies."""
    return _bodies_decoder.decode(b"".join([_LIST, count.to_bytes(4, "big"), raw]))


def head_texts(heads: Heads) -> tuple[bytes, bytes]:
    return heads.request_head, heads.response_head


def body_texts(bodies: Bodies) -> list[bytes]:
    """List what of bodies is text; long runs, which values in JSON may have, are in it."""
    return [
        text
        for body in (bodies.request_body, bodies.response_body)
        if body is not None
        for text in readable_windows(body)
    ]
