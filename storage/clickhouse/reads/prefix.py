"""The end of the stable prefix: rows at or below it are all there, however many sidecars write.

Strategy: a row is refused whose number is more than the delay behind the server's clock when its
insert begins. So what is not there yet has a number above now, less the delay, less the age of the
oldest insert that runs: one statement. No sidecar announces that it lives; one that is idle,
stopped or dead holds up nothing.

In a cluster it is the least of all servers, and ends where each replica that answers shows all that
was committed. A replica that is away may be running an insert as long as one may take; a shard that
is away holds up the end.

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
from storage.clickhouse.wire.link import LIMIT_S, Link, Row, at_once

FRESH_S: Final = 0.1
"""For how long an end that was read is given again: it is lower than it could be, and right."""
_REMEMBERED: Final = 100
_UNSEEN_MS: Final = 20_000
"""An insert ends by then, on a server that does not answer
(`storage.clickhouse.writes.slots.WRITE_LIMIT_S`).
"""
_MARGIN: Final = 5
"""A part of the delay, 1 s of the usual: between the moment an insert looks at the clock and is
seen to run.
"""


class Prefix:
    """The stable prefix of the rows of some shards. It never gets shorter."""

    def __init__(self, links: Sequence[Link], server: Server, order_delay_ms: int) -> None:
        """Make it, given a link to each shard."""
        self._links = links
        margin_ms = order_delay_ms // _MARGIN + server.clock_step_ms
        self._sql = (
            f"SELECT {server.now_ms} - {order_delay_ms + margin_ms}, {OLDEST_MS}, "
            f"(SELECT max(seq) FROM records) {server.running_inserts}"
        )
        self._read_s: float | None = None
        self._end = 0
        self._next_ends: deque[tuple[float, int]] = deque(maxlen=_REMEMBERED)
        """When each was read, and what is the end once all shows that was committed by then."""

    async def end(self) -> int:
        """Return the last number of the prefix, that of the newest row at most; 0 where there are
        none.
        """
        if self._read_s is None or time.monotonic() - self._read_s >= FRESH_S:
            asked_s = time.monotonic()
            found = await at_once(
                lambda link: link.fetch_each(self._sql, limit_s=LIMIT_S), self._links
            )
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
    """Return up to which number nothing comes any more, as all servers together say."""
    stable_ms: int = min(stable_ms - running_ms for stable_ms, running_ms, _ in answers)
    if any(rows is None for shard in found for rows in shard):
        stable_ms -= _UNSEEN_MS
    return min(first_of(stable_ms) - 1, max(int(newest) for _, _, newest in answers))
