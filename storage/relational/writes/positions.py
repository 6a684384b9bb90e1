"""Positions of sources, as rows of their table."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from storage.record import Position

POSITION_COLUMNS: Final = "source, end_offset, taken, stored, received, dropped, closed"


def position_row(source: bytes, position: Position) -> tuple[bytes, int, int, int, int, str, bool]:
    return (
        source,
        position.offset,
        position.taken,
        position.stored,
        position.received,
        msgspec.json.encode(position.dropped).decode(),
        position.closed,
    )


def positions_of(rows: Iterable[Iterable[Any]]) -> dict[bytes, Position]:
    return {
        source: Position(
            offset=offset,
            taken=taken,
            stored=stored,
            received=received,
            dropped=msgspec.json.decode(dropped, type=dict[str, int]),
            closed=bool(closed),
        )
        for source, offset, taken, stored, received, dropped, closed in rows
    }
