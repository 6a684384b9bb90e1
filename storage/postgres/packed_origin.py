"""How a request came and went, with whose key, what was shed of it: few combinations, so together one dictionary id.

Invariant: `unpack(pack(values)) == values`.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from storage.record import Shed

FIELDS: Final = ("scheme", "http_version", "upstream", "key_name", "key_last4", "shed")
"""What is packed, of a record: nobody searches for any of them."""

Origin = tuple[str | None, str | None, str | None, str | None, str | None, Shed | None]
"""In the order of `FIELDS`."""

_decoder: Final[msgspec.json.Decoder[Origin]] = msgspec.json.Decoder(Origin)


def pack(values: Sequence[str | None]) -> str:
    return msgspec.json.encode(values).decode()


def unpack(packed: str) -> Origin:
    """Read what `pack` wrote."""
    return _decoder.decode(packed)
