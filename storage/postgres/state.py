"""What is true of the store as a whole: one row that writers keep, and the newest `seq`."""

from dataclasses import replace
from typing import NamedTuple

from storage.postgres.connection import Connection
from storage.query import Filter


class State(NamedTuple):
    """Read at the start of every answer, in one statement."""

    last_seq: int
    purge_floor_us: int
    """Rows that started before are purged, or will be; 0 is none."""
    body_floor_us: int
    purged_through_seq: int
    capped_dimensions: int
    key_version: int
    erasures: int
    """Rises with every slice that is erased."""

    def visible(self, filter: Filter) -> Filter:
        """Narrow a filter to what retention has not given up."""
        floor_us = self.purge_floor_us
        if floor_us and (filter.since_us is None or filter.since_us < floor_us):
            return replace(filter, since_us=floor_us)
        return filter


async def read_state(connection: Connection) -> State:
    """Read it as the running transaction sees it."""
    row = await connection.fetchrow(
        "SELECT last_seq, purge_floor_us, body_floor_us, purged_through_seq, capped_dimensions, key_version, erasures "
        "FROM sidelog.counter, sidelog.state"
    )
    assert row is not None, "bug: a migrated store has its row of state"
    return State(*row)
