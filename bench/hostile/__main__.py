"""What others feel of one hostile connection: `python -m bench.hostile`.

One worker serves a healthy client, alone at first, then beside one hostile connection of each kind, and beside a crowd
of silent ones. Client, upstreams and attacker are processes of their own. Wanted: a p99 of 20 ms beside any of them, no
failure, no exchange dropped. Results are JSON in `bench/results`.
"""

import argparse
import contextlib
import json
import os
import socket
import tempfile
import time
import urllib.request
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench.hostile.kinds import Kind, kinds
from bench.hostile.peers import crowd, hostile, upstream
from bench.macro.machine import machine
from tests.support.sidelog import Sidelog

RATE: Final = 200
"""Healthy requests a second."""
WARM_S: Final = 0.5
TIMEOUT_S: Final = 20.0
REQUEST: Final = b"GET /healthy HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Felt:
    """What the healthy client felt beside one kind."""

    beside: str
    requests: int
    p50_ms: float
    p99_ms: float
    latest_ms: float
    failed: int
    dropped: int
    """Exchanges that are not on record."""
    messages_dropped: int
    """WebSocket messages that are not, which is what they are meant to be."""


def talk(port: int, seconds: float) -> tuple[list[float], int]:
    """Send requests at a steady rate; return how long each took in ms, and how many failed."""
    took_ms: list[float] = []
    failed = 0
    connection: socket.socket | None = None
    begin_s = due_s = time.perf_counter()
    while due_s < begin_s + seconds:
        time.sleep(max(0.0, due_s - time.perf_counter()))
        started_s = time.perf_counter()
        try:
            connection = connection or socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
            connection.sendall(REQUEST)
            answer = b""
            while not answer.endswith(b"\r\n\r\nok"):
                data = connection.recv(4096)
                if not data:
                    raise ConnectionError("the connection ended")
                answer += data
        except OSError:
            failed += 1
            connection = None
        took_ms.append((time.perf_counter() - started_s) * 1e3)
        due_s = max(due_s + 1 / RATE, time.perf_counter() - 1 / RATE)
    if connection is not None:
        connection.close()
    return took_ms, failed


def measure(sidelog: Sidelog, beside: str, disturbance: AbstractContextManager[None], seconds: float) -> Felt:
    """Measure beside one disturbance, from a moment after it has begun."""
    before = lost(sidelog)
    with disturbance:
        time.sleep(WARM_S)
        took_ms, failed = talk(sidelog.port, seconds)
    time.sleep(WARM_S)
    after = lost(sidelog)
    took_ms.sort()
    return Felt(
        beside,
        len(took_ms),
        round(took_ms[len(took_ms) // 2], 2),
        round(took_ms[int(len(took_ms) * 0.99)], 2),
        round(took_ms[-1], 2),
        failed,
        after[0] - before[0],
        after[1] - before[1],
    )


def lost(sidelog: Sidelog) -> tuple[int, int]:
    """Return how many records, and how many messages, were dropped so far."""
    name = "sidelog_websocket_messages_dropped_total"
    with urllib.request.urlopen(f"{sidelog.admin_url}/metrics", timeout=TIMEOUT_S) as response:
        lines = response.read().decode().splitlines()
    messages = next(float(line.split()[-1]) for line in lines if line.startswith(name))
    return sum(sidelog.api("/api/ledger")["dropped"].values()), int(messages)


def run(directory: Path, seconds: float, crowd_size: int, only: list[Kind]) -> list[Felt]:
    """Measure all."""
    with contextlib.ExitStack() as stack:
        quick, slow = stack.enter_context(upstream()), stack.enter_context(upstream())
        config = directory / "sidelog.toml"
        config.write_text(
            f'[[routes]]\nid = "healthy"\npath = "/healthy"\nupstream = "http://127.0.0.1:{quick}"\n'
            f'[[routes]]\nid = "hostile"\npath = "/hostile"\nupstream = "http://127.0.0.1:{slow}"\n'
        )
        arguments = ("--config", str(config), "--workers", "1")
        ring = {"SIDELOG_RING__BYTES": str(64 << 20)}
        sidelog = stack.enter_context(Sidelog(directory / "data", "", *arguments, environ=ring))
        talk(sidelog.port, seconds / 4)
        beside: list[tuple[str, AbstractContextManager[None]]] = [
            ("nobody", contextlib.nullcontext()),
            *((kind.name, hostile(kind, sidelog.port)) for kind in only),
            (f"{crowd_size} silent", crowd(crowd_size, sidelog.port)),
            ("nobody again", contextlib.nullcontext()),
        ]
        return [show(measure(sidelog, name, disturbance, seconds)) for name, disturbance in beside]


def show(felt: Felt) -> Felt:
    """Print a line of the table."""
    print(
        f"{felt.beside:28} p50 {felt.p50_ms:7.2f} ms  p99 {felt.p99_ms:7.2f} ms  latest {felt.latest_ms:8.2f} ms  "
        f"failed {felt.failed}  dropped {felt.dropped}  messages {felt.messages_dropped}",
        flush=True,
    )
    return felt


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run and write the result."""
    parser = argparse.ArgumentParser(prog="python -m bench.hostile")
    parser.add_argument("--seconds", type=float, default=5.0, help="of healthy traffic beside each (5)")
    parser.add_argument("--crowd", type=int, default=1000, help="silent connections (1000)")
    parser.add_argument("--only", default="", help="kinds whose name begins so")
    parser.add_argument("--out", type=Path, default=Path("bench/results/hostile.json"))
    options = parser.parse_args(arguments)
    only = [kind for kind in kinds() if kind.name.startswith(options.only)]
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as directory:
        felt = run(Path(directory), options.seconds, options.crowd, only)
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "load_before": round(load, 2),
        "rate": RATE,
        "felt": [asdict(each) for each in felt],
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    return result


if __name__ == "__main__":
    main()
