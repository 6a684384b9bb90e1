"""Bodies that nobody sends in earnest: what the dearest cost, on the loop and in a thread, and how late the loop gets.

`python -m bench.micro.hostile` runs this file alone. Wanted: less than 50 ms on the loop, whatever is sent.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Final

import msgspec

from bench.micro.enrich import SETTINGS, entry
from bench.micro.measure import Measure, measured
from proxy.collector.slices import LOOP_BYTES
from proxy.enrich.records import RecordBuilder
from proxy.ring.descriptor import Descriptor, read_descriptor, write_descriptor
from proxy.ring.exchange import CapturedExchange

ROUNDS: Final = 7
MEBIBYTE: Final = 1 << 20
BODIES: Final = {
    "carriage returns": ("/v1/messages", "text/event-stream", b"\r"),
    "empty lines": ("/v1/chat/completions", "text/event-stream", b"\n"),
    "short lines": ("/api/chat", "application/x-ndjson", b"--x\r\n"),
    "open brackets": ("/v1beta/models/x:streamGenerateContent", "application/json", b"["),
    "encoded parameters": ("/x", "application/x-www-form-urlencoded", b"%61=%62&"),
    "secrets within secrets": ("/x", "application/json", b'{"password":{'),
}
_LOOK_S: Final = 0.001


def measures() -> Iterator[Measure]:
    """Measure each body just short enough for the loop, then with a mebibyte each way, then the loop beside that."""
    descriptor = read_descriptor(write_descriptor(msgspec.to_builtins(SETTINGS)))
    for size, where in ((LOOP_BYTES // 2 - 1024, "on the loop"), (MEBIBYTE, "in a thread")):
        for name, (path, content_type, piece) in BODIES.items():
            build = partial(_build, _packed(path, content_type, piece * (size // len(piece))), descriptor)
            yield measured(f"{name}, {2 * size // 1024} KiB, {where}", build, clock=time.process_time_ns, rounds=ROUNDS)
    path, content_type, piece = BODIES["carriage returns"]
    build = partial(_build, _packed(path, content_type, piece * MEBIBYTE), descriptor)
    yield _latest("the loop beside 2 MiB in a thread, latest", build)


def _packed(path: str, content_type: str, body: bytes) -> tuple[bytes, bytes]:
    return entry("POST", path, body, body, content_type)


def _build(packed: tuple[bytes, bytes], descriptor: Descriptor) -> int:
    RecordBuilder("bench", SETTINGS).build(CapturedExchange(*packed), descriptor)
    return 1


def _latest(name: str, build: Callable[[], int]) -> Measure:
    """Measure by how much a timer of the loop is late at most while a thread builds."""
    latest_ns = [asyncio.run(_beside(build)) for _ in range(ROUNDS)]
    return Measure(name=name, ns=median(latest_ns), fastest_ns=min(latest_ns), slowest_ns=max(latest_ns))


async def _beside(build: Callable[[], int]) -> int:
    latest_ns = 0
    building = asyncio.get_running_loop().run_in_executor(None, build)
    while not building.done():
        begin_ns = time.perf_counter_ns()
        await asyncio.sleep(_LOOK_S)
        latest_ns = max(latest_ns, time.perf_counter_ns() - begin_ns - round(_LOOK_S * 1e9))
    return latest_ns


if __name__ == "__main__":
    from bench.micro.__main__ import table

    print(table({"hostile": list(measures())}))
