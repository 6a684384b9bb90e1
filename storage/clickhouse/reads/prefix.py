"""The end of the stable prefix: all rows up to it are there, however many sidecars write.

Strategy: a row is refused if its number is more than the delay behind the server's clock when its
insert begins. So a row that is not stored yet has a number above now, minus the delay, minus the
age of the oldest running insert; one statement reads this. Sidecars do not announce themselves, so
one that is idle, stopped or dead holds up nothing.

In a cluster the least end of all servers counts, and only up to where each answering replica shows
everything committed. A replica that is away may be running an insert for as long as one may take; a
shard that is away holds up the end.

Assumption: no server's clock steps back by more than `_MARGIN` of the delay. A step that is noticed
is logged.
"""

# ruff: noqa: S608 -- identifiers come from here, every value is a number

import math
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from storage.clickhouse.engine.server import OLDEST_MS, Server
from storage.clickhouse.numbers import first_of
from storage.clickhouse.replicas import whole_until_s
from storage.clickhouse.wire.answers import Away
from storage.clickhouse.wire.link import Link, Row, at_once

FRESH_S: Final = 0.1
"""Time for which an end is reused: it may be too low, but is valid."""
_REMEMBERED: Final = 100
_UNSEEN_MS: Final = 20_000
"""Upper bound of the age of inserts on a server that does not answer
(`storage.clickhouse.writes.slots.WRITE_LIMIT_S`).
"""
_MARGIN: Final = 5
"""Fraction of the delay (1/5, usually 1 s) that covers the time between an insert's look at the
clock and its appearance among running ones.
"""


class Prefix:
    """The stable prefix of the rows of all shards. It never shrinks."""

    def __init__(self, links: Sequence[Link], server: Server, order_delay_ms: int) -> None:
        """Take one link to each shard."""
        self._links = links
        margin_ms = order_delay_ms // _MARGIN + server.clock_step_ms
        self._sql = (
            f"SELECT {server.now_ms} - {order_delay_ms + margin_ms}, {OLDEST_MS}, "
            f"(SELECT max(seq) FROM records) {server.running_inserts}"
        )
        self._read_s: float | None = None
        self._end = 0
        self._next_ends: deque[tuple[float, int]] = deque(maxlen=_REMEMBERED)
        """Time of reading → end that is valid once all replicas show everything committed by then.
        """

    async def end(self) -> int:
        """Return the last number of the prefix, never beyond the newest row; 0 in an empty store."""
        if self._read_s is None or time.monotonic() - self._read_s >= FRESH_S:
            asked_s = time.monotonic()
            found = await at_once(lambda link: link.fetch_each(self._sql), self._links)
            answers = [[rows[0] for rows in shard if rows] for shard in found]
            if not any(answers):
                raise Away("clickhouse: no server answers")

            if all(answers):
                self._next_ends.append(
                    (asked_s, _least(found, [row for rows in answers for row in rows]))
                )
                await self._go_on(found)

            self._read_s = asked_s

        return self._end

    async def _go_on(self, found: Sequence[Sequence[object]]) -> None:
        copies = [
            copy
            for link, shard in zip(self._links, found, strict=True)
            for copy, rows in zip(link.each, shard, strict=True)
            if link.is_replicated and rows
        ]
        until_s = min(
            await at_once(lambda copy: whole_until_s(copy, "records"), copies), default=math.inf
        )
        while self._next_ends and self._next_ends[0][0] <= until_s:
            self._end = max(self._end, self._next_ends.popleft()[1])


def _least(found: Sequence[Sequence[object]], answers: Sequence[Row]) -> int:
    """Return the number up to which no rows will come any more, according to all servers."""
    stable_ms: int = min(stable_ms - running_ms for stable_ms, running_ms, _ in answers)
    if any(rows is None for shard in found for rows in shard):
        stable_ms -= _UNSEEN_MS
    return min(first_of(stable_ms) - 1, max(int(newest) for _, _, newest in answers))
