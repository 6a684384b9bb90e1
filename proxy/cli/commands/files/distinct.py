"""A suite with a few exchanges of each request: of ten thousand health checks one says it all.

Strategy: the suite is read twice, first for which exchanges stay, then to copy their lines. Kept in
memory are a key of 16 bytes and the positions that stay, of each request that is not the same as
another.
"""

from collections import defaultdict, deque
from collections.abc import Iterator
from pathlib import Path

from api.identity.match import keys_of
from api.identity.request import request_of
from api.replay.suite import read_suite


def distinct_lines(suite: Path, per_request: int, limit: int | None) -> Iterator[bytes]:
    """Yield the lines of a suite: the newest so many of each request, and of those the newest."""
    newest: dict[bytes, deque[int]] = defaultdict(lambda: deque(maxlen=per_request))
    for position, (_, record, payload) in enumerate(read_suite(suite, str)):
        newest[keys_of(request_of(record, payload)).drawn].append(position)
    kept = sorted(position for positions in newest.values() for position in positions)
    chosen = {*(kept if limit is None else kept[-limit:])}
    with suite.open("rb") as file:
        yield file.readline()  # which names it
        yield from (line for position, line in enumerate(file) if position in chosen)
