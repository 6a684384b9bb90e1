"""The searched texts of stored heads and bodies; many records are decoded at once."""

from typing import Final

import msgspec

from storage.relational.blocks.payloads import Bodies
from storage.search.searched_text import readable_windows

_LIST: Final = b"\xdd"
"""Begins a list of up to 2^32 values (MessagePack, array 32)."""


class Heads(msgspec.Struct, array_like=True, gc=False):
    """The first fields of `storage.relational.blocks.payloads.Heads`."""

    request_head: bytes
    response_head: bytes


_heads_decoder: Final = msgspec.msgpack.Decoder(list[Heads])
_bodies_decoder: Final = msgspec.msgpack.Decoder(list[Bodies])


def read_heads(raw: bytes, count: int) -> list[Heads]:
    """Decode `count` consecutive heads.

    Raises:
        msgspec.DecodeError: there are fewer.
    """
    return _heads_decoder.decode(b"".join([_LIST, count.to_bytes(4, "big"), raw]))


def read_bodies(raw: bytes, count: int) -> list[Bodies]:
    """Decode `count` consecutive bodies."""
    return _bodies_decoder.decode(b"".join([_LIST, count.to_bytes(4, "big"), raw]))


def head_texts(heads: Heads) -> tuple[bytes, bytes]:
    return heads.request_head, heads.response_head


def body_texts(bodies: Bodies) -> list[bytes]:
    """List the texts of bodies, including the long runs that values in JSON may have."""
    return [
        text
        for body in (bodies.request_body, bodies.response_body)
        if body is not None
        for text in readable_windows(body)
    ]
