"""Text in captured bodies, which are in compressed blocks the server cannot read: looked for here, slice by slice.

Strategy: of each slice of a walk, the rows that match everything else are read with the places of their bodies, their
blocks are inflated on a thread, some at a time, and the rows found become one more parameter of the slice's statement.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from storage.postgres.connection import Budget, Connection
from storage.relational.blocks.payloads import Bodies, inflate
from storage.relational.session import State
from storage.relational.sql import DIMENSIONS, Where
from storage.search.patterns import lower_ascii

_BLOCKS: Final = 64
"""Blocks inflated between two looks at the clock, 4 MiB."""
_BLOCKS_OF: Final = "SELECT id, data FROM sidelog.blocks WHERE id = ANY($1::bigint[])"
_Decoder: Final = msgspec.msgpack.Decoder(Bodies)
_CONDITION: Final = (
    '(strpos(lower(path COLLATE "C"), {text}) > 0 OR error_type IN (SELECT id FROM sidelog.dictionary '
    f"WHERE kind = {DIMENSIONS.index('error_type')} "
    'AND strpos(lower(value COLLATE "C"), {text}) > 0) OR seq = ANY({seqs}::bigint[]))'
)

Place = tuple[int, int, int]
"""Seq, offset, length."""


class BodySearch:
    """Looks for a text in the bodies of rows that match everything else."""

    def __init__(self, text: str, where: Where, state: State) -> None:
        """Look for a text, without regard to ASCII case, in rows of `where`, whose first parameter is numbered 1.

        Bodies that retention has taken, as the state of the store says, are not shown.
        """
        self._text = lower_ascii(text)
        self._wanted = self._text.encode()
        self.where = where
        self._floors = (state.body_floor_us or -(1 << 63), state.bodies_through_seq)

    def narrowed(self, where: Where, first_parameter: int, seqs: Sequence[int]) -> Where:
        """Add to conditions, their first parameter of some number, that a row has the text; `find` found these."""
        number = first_parameter + len(where.parameters)
        text = _CONDITION.format(text=f"${number}", seqs=f"${number + 1}")
        return Where(f"{where.text} AND {text}", (*where.parameters, self._text, seqs))

    async def find(self, connection: Connection, bounded: Where, budget: Budget) -> list[int] | None:
        """Find the rows of a slice, to which `where` is bounded; None when the budget ended it."""
        number = len(bounded.parameters) + 1
        sql = (
            f"SELECT seq, bodies_block, bodies_offset, bodies_length FROM sidelog.records WHERE {bounded.text} "
            f"AND bodies_block IS NOT NULL AND started_at_us >= ${number} AND seq > ${number + 1}"
        )
        rows = await budget.fetch(connection, sql, (*bounded.parameters, *self._floors), is_part=True)
        if rows is None:
            return None
        places: dict[int, list[Place]] = {}
        for seq, block, offset, length in rows:
            places.setdefault(block, []).append((seq, offset, length))
        numbers, found = sorted(places), list[int]()
        for start in range(0, len(numbers), _BLOCKS):
            blocks = await budget.fetch(connection, _BLOCKS_OF, (numbers[start : start + _BLOCKS],), is_part=True)
            if blocks is None:
                return None
            found += await asyncio.to_thread(self._within, blocks, places)
        return found

    def _within(self, blocks: Sequence[Any], places: dict[int, list[Place]]) -> list[int]:
        found: list[int] = []
        for number, frame in blocks:
            block = memoryview(inflate(frame))
            for seq, offset, length in places[number]:
                windows = _windows(_Decoder.decode(block[offset : offset + length]))
                if any(self._wanted in window.lower() for window in windows):
                    found.append(seq)
        return found


def _windows(bodies: Bodies) -> Iterable[bytes]:
    return (window for body in (bodies.request_body, bodies.response_body) if body for window in (body.head, body.tail))
