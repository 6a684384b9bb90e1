"""The export to OpenTelemetry: what a record costs the collector on its way from the store to a
request.

`python -m bench.micro otel` runs this file alone. Reading the record, its position and the socket
come on top.
"""

import time
from collections.abc import Iterator
from typing import Final

from bench.micro.measure import Measure, measured
from proxy.otel.requests import Signal, make_item, write_request
from tests.storage.samples import make_record

RECORDS: Final = 512
AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"


def measures() -> Iterator[Measure]:
    """Measure each step, for 512 exchanges of different paths."""
    yield _items("traces")
    yield _items("logs")


_records: Final = [
    make_record(path=f"/items/{number}", endpoint="/items/{id}", user_agent=AGENT)
    for number in range(RECORDS)
]


def _items(signal: Signal) -> Measure:
    def run() -> int:
        write_request(signal, [make_item(signal, record, ()) for record in _records])
        return RECORDS

    return measured(f"{signal}, in a request", run, clock=time.process_time_ns)
