"""The layout of the database: which number it has, and the steps from each to the next.

Strategy: a layout that is reached is noted as an empty table, `layout_N`: what tables there are is what a server syncs
to its disk. There are no transactions, and several sidecars may start at once: so a step is one that may be repeated
and be run by two at a time, and it is noted when it is whole. What is missing of the newest layout is then made.

Invariant: the greatest number noted is that of the newest layout that was reached. A database with a higher number than
this program knows is left untouched.
"""

# ruff: noqa: S608 -- identifiers come from here, every value is a parameter

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from storage.clickhouse.link import LIMIT_S, Link, over_tables
from storage.clickhouse.reads.derived import DERIVED
from storage.clickhouse.register.register import Register
from storage.clickhouse.tables import create
from storage.errors import SchemaTooNew, SchemaTooOld, StorageUnavailable

Step = Callable[[Link], Awaitable[None]]


async def _with_sums(link: Link) -> None:
    """Tables of sums are made with what is missing; a program that does not know them must not erase."""


async def _with_trace_hash(link: Link) -> None:
    """Rows that are there get the column when they are merged; until then it is made as it is read."""
    type, made_of = DERIVED["trace_hash"]
    for tries_left in reversed(range(_TRIES)):
        if await link.fetch(_HAS_TRACE_HASH, limit_s=LIMIT_S) == [(1,)]:
            return
        add = f"ALTER TABLE records ADD COLUMN trace_hash {type} MATERIALIZED {made_of}"
        try:
            await link.execute(add, limit_s=LIMIT_S)
        except StorageUnavailable:
            # Somebody else adds it, perhaps on another replica, from where it is on its way.
            if not tries_left:
                raise
            await asyncio.sleep(_LOOK_AGAIN_S)


async def _with_segments(link: Link) -> None:
    """Tables of the index of words, likewise: a program that does not know them must not erase."""


STEPS: Final[tuple[Step, ...]] = (_with_sums, _with_trace_hash, _with_segments)
"""From layout 1 to 2, from 2 to 3, and so on."""
_HAS_TRACE_HASH: Final = (
    "SELECT count() FROM system.columns WHERE database = currentDatabase() AND table = 'records' "
    "AND name = 'trace_hash'"
)
_TRIES: Final = 20
_LOOK_AGAIN_S: Final = 0.2
_LAYOUT: Final = "layout_"
_READ: Final = (
    f"SELECT max(toUInt64OrZero(substring(name, {len(_LAYOUT) + 1}))), countIf(name = 'commits') FROM system.tables "
    f"WHERE database = currentDatabase() AND (substring(name, 1, {len(_LAYOUT)}) = '{_LAYOUT}' OR name = 'commits')"
)


def newest() -> int:
    """Tell the number of the newest layout."""
    return len(STEPS) + 1


async def migrate(link: Link) -> int:
    """Bring the database to the newest layout; returns its number.

    Raises:
        SchemaTooNew: A newer program wrote it.
        StorageUnavailable: The server does not do it at present, or the journal is gone.
    """
    layout, has_journal = await _read(link)
    if layout and not has_journal:
        # An empty one in its place would begin the store anew, and be in the way of the one that was moved.
        raise StorageUnavailable(
            "clickhouse: the table commits is gone, and without it nobody knows which rows are stored: bring it back, "
            "or drop the database and create it for an empty store"
        )
    for number in range(layout, newest()) if layout else ():
        await STEPS[number - 1](link)
        await _note(link, number + 1)
    await create(link)
    await Register(link).create()
    await _note(link, newest())
    return newest()


async def check_layout(link: Link) -> int:
    """Return the number of the layout, changing nothing.

    Raises:
        SchemaTooNew: A newer program wrote it.
        SchemaTooOld: An older one did, or none.
    """
    layout, _ = await _read(link)
    if layout < newest():
        raise SchemaTooOld(layout, newest())
    return layout


async def read_layout(link: Link) -> int:
    """Read the number of the newest layout that was reached; 0 in a database that was never used."""
    return (await _noted(link))[0]


async def _read(link: Link) -> tuple[int, bool]:
    layout, has_journal = await _noted(link)
    if layout > newest():
        raise SchemaTooNew(layout, newest())
    return layout, has_journal


async def _noted(link: Link) -> tuple[int, bool]:
    [(layout, journals)] = await over_tables(partial(link.fetch, _READ, limit_s=LIMIT_S))
    return int(layout), bool(journals)


async def _note(link: Link, number: int) -> None:
    await link.execute(f"CREATE TABLE IF NOT EXISTS {_LAYOUT}{number} (done UInt8) ENGINE = TinyLog", limit_s=LIMIT_S)
