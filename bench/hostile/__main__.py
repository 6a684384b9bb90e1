"""What others feel of one hostile connection: `python -m bench.hostile`.

One worker serves a healthy client, alone at first, then beside one hostile connection of each kind,
and beside crowds: silent ones, and mixed ones. Client, upstreams and attackers are processes of
their own. Each request goes through the proxy, by HTTP/1.1 and by HTTP/2, and then straight to its
upstream: what all feel is the machine, which attackers keep busy, too. Wanted: a p99 of 20 ms
beside any of them, no failure, no exchange dropped. Results are JSON in `bench/results`.
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

from bench.hostile.crowd import MIXED, SILENT
from bench.hostile.kinds import HELLO, kinds, request, stream
from bench.hostile.peers import Crowd, hostile, upstream
from bench.macro.machine import machine
from bench.macro.measure import ProcessCost, cpu_by_role, tree
from proxy.http2.frames import DATA, END_STREAM, frame
from tests.support.sidelog import Sidelog

RATE: Final = 200
"""Healthy requests a second."""
WARM_S: Final = 0.5
TIMEOUT_S: Final = 20.0
FRESH: Final = 20
"""One request of so many opens a connection of its own: newcomers must not be kept out."""

Disturbance = AbstractContextManager[object]


@dataclass(frozen=True, slots=True)
class Felt:
    """What the healthy client felt beside one kind."""

    beside: str
    requests: int
    p50_ms: float
    p99_ms: float
    latest_ms: float
    http2_p50_ms: float
    """The same requests by HTTP/2, in turn with the others."""
    http2_p99_ms: float
    http2_latest_ms: float
    direct_p50_ms: float
    """The same requests without the proxy, in turn with the others."""
    direct_p99_ms: float
    failed: int
    dropped: int
    """Exchanges that are not on record."""
    messages_dropped: int
    """WebSocket messages that are not, which is what they are meant to be."""
    open_connections: int
    """Of all clients, at the end."""
    refused: int
    """Connections above a limit."""
    displaced: int
    """Connections that gave way to others."""
    acts_per_s: float
    """What a crowd did; 0: it was none."""
    cores: dict[str, float]
    """CPU time a second of each part of sidelog; behind a starved one its work may be left over."""


class Healthy:
    """A client that sends small requests and waits for each response."""

    def __init__(self, port: int, *, is_http2: bool = False) -> None:
        """Ask at a port of 127.0.0.1."""
        self._port = port
        self._is_http2 = is_http2
        self._connection: socket.socket | None = None
        self._asked = 0
        self.took_ms: list[float] = []
        self.failed = 0

    def ask(self) -> None:
        """Send one request; a failure counts, with the time it took."""
        self._asked += 1
        if self._asked % FRESH == 0:
            self.leave()
        started_s = time.perf_counter()
        number = 1 + 2 * self._asked
        question = request("/healthy")
        end = b"\r\n\r\nok"
        if self._is_http2:
            question = stream(number)
            end = frame(DATA, END_STREAM, number, b"ok")
        try:
            if self._connection is None:
                self._connection = socket.create_connection(
                    ("127.0.0.1", self._port), timeout=TIMEOUT_S
                )
                question = HELLO + question if self._is_http2 else question

            self._connection.sendall(question)
            answer = b""
            while end not in answer:
                data = self._connection.recv(4096)
                if not data:
                    raise ConnectionError("the connection ended")
                answer += data
        except OSError:
            self.failed += 1
            self.leave()

        self.took_ms.append((time.perf_counter() - started_s) * 1e3)

    def leave(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def quantile_ms(self, part: float) -> float:
        """Return what so many of the requests took at most."""
        ordered = sorted(self.took_ms)
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * part))], 2)


def talk(seconds: float, *clients: Healthy) -> None:
    """Send requests at a steady rate, each by one client and then by the others."""
    begin_s = time.perf_counter()
    due_s = begin_s
    while due_s < begin_s + seconds:
        time.sleep(max(0.0, due_s - time.perf_counter()))
        for client in clients:
            client.ask()
        due_s = max(due_s + 1 / RATE, time.perf_counter() - 1 / RATE)

    for client in clients:
        client.leave()


def measure(
    sidelog: Sidelog, upstream_port: int, beside: str, disturbance: Disturbance, seconds: float
) -> Felt:
    """Measure beside one disturbance, from a moment after it has begun."""
    before = counted(sidelog)
    proxied = Healthy(sidelog.port)
    http2 = Healthy(sidelog.port, is_http2=True)
    direct = Healthy(upstream_port)

    with disturbance:
        # Served, so whoever came before is accepted.
        talk(WARM_S, Healthy(sidelog.port), Healthy(upstream_port))
        acts = acts_of(disturbance)
        begin_s = time.perf_counter()
        costs = costs_of(sidelog)
        talk(seconds, proxied, http2, direct)
        lasted_s = time.perf_counter() - begin_s
        acts_per_s = (acts_of(disturbance) - acts) / lasted_s
        cores = {
            role: round(cpu_s / lasted_s, 3)
            for role, cpu_s in cpu_by_role(costs, costs_of(sidelog)).items()
        }
        open_connections = counted(sidelog)["open_connections"]

    time.sleep(WARM_S)
    after = counted(sidelog)
    return Felt(
        beside=beside,
        requests=len(proxied.took_ms),
        p50_ms=proxied.quantile_ms(0.5),
        p99_ms=proxied.quantile_ms(0.99),
        latest_ms=proxied.quantile_ms(1),
        http2_p50_ms=http2.quantile_ms(0.5),
        http2_p99_ms=http2.quantile_ms(0.99),
        http2_latest_ms=http2.quantile_ms(1),
        direct_p50_ms=direct.quantile_ms(0.5),
        direct_p99_ms=direct.quantile_ms(0.99),
        failed=proxied.failed + http2.failed,
        open_connections=open_connections,
        acts_per_s=round(acts_per_s, 1),
        cores=cores,
        **{
            name: after[name] - before[name]
            for name in ("dropped", "messages_dropped", "refused", "displaced")
        },
    )


def costs_of(sidelog: Sidelog) -> list[ProcessCost]:
    """Read what sidelog's processes have used."""
    assert sidelog.process is not None
    return tree(sidelog.process.pid)


def acts_of(disturbance: Disturbance) -> int:
    """Return what a crowd has done so far."""
    if isinstance(disturbance, Crowd):
        return disturbance.acts
    return 0


def counted(sidelog: Sidelog) -> dict[str, int]:
    """Read what the proxy has counted so far, of its ledger and of its metrics."""
    with urllib.request.urlopen(f"{sidelog.admin_url}/metrics", timeout=TIMEOUT_S) as response:
        lines = [
            line.rpartition(" ")
            for line in response.read().decode().splitlines()
            if line[:1] != "#"
        ]

    metrics = {
        name: int(float(value))
        for name, _, value in lines
        if name.startswith("sidelog_connections_")
    }
    dropped = dict(sidelog.api("/api/ledger")["dropped"])
    return {
        "messages_dropped": dropped.pop("message_limit", 0),
        "dropped": sum(dropped.values()),
        "refused": metrics["sidelog_connections_refused_total"],
        "displaced": metrics["sidelog_connections_displaced_total"],
        "open_connections": sum(
            count for name, count in metrics.items() if "open{" in name and "downstream" in name
        ),
    }


def run(
    directory: Path, seconds: float, crowd_size: int, max_connections: int, only: str
) -> list[Felt]:
    """Measure all whose name begins with `only`."""
    with contextlib.ExitStack() as stack:
        quick = stack.enter_context(upstream())
        slow = stack.enter_context(upstream())
        config = directory / "sidelog.toml"
        config.write_text(
            '[[routes]]\nid = "healthy"\npath = "/healthy"\nupstream = '
            f'"http://127.0.0.1:{quick}"\n'
            f'[[routes]]\nid = "hostile"\npath = "/hostile"\nupstream = "http://127.0.0.1:{slow}"\n'
        )
        arguments = ("--config", str(config), "--workers", "1")
        environ = {
            "SIDELOG_RING__BYTES": str(64 << 20),
            "SIDELOG_PROXY__LIMITS__MAX_CONNECTIONS": str(max_connections),
        }
        sidelog = stack.enter_context(Sidelog(directory / "data", "", *arguments, environ=environ))
        talk(seconds / 4, Healthy(sidelog.port), Healthy(sidelog.port, is_http2=True))
        beside = disturbances(sidelog.port, crowd_size, only)
        beside = [
            ("nobody", contextlib.nullcontext()),
            *beside,
            ("nobody again", contextlib.nullcontext()),
        ]
        return [
            show(measure(sidelog, quick, name, disturbance, seconds))
            for name, disturbance in beside
        ]


def disturbances(port: int, crowd_size: int, only: str) -> list[tuple[str, Disturbance]]:
    """Return what disturbs, by name, as far as the name begins with `only`."""
    found: list[tuple[str, Disturbance]] = [(kind.name, hostile(kind, port)) for kind in kinds()]
    found.append((f"crowd, silent, {crowd_size}", Crowd(crowd_size, SILENT, port)))
    found.append((f"crowd, mixed, {crowd_size}", Crowd(crowd_size, MIXED, port)))
    return [(name, disturbance) for name, disturbance in found if name.startswith(only)]


def show(felt: Felt) -> Felt:
    """Print a line of the table."""
    print(
        f"{felt.beside:28} p50 {felt.p50_ms:7.2f} ms  p99 {felt.p99_ms:7.2f} ms  latest "
        f"{felt.latest_ms:8.2f} ms  "
        f"h2 {felt.http2_p50_ms:6.2f}, p99 {felt.http2_p99_ms:7.2f}, latest "
        f"{felt.http2_latest_ms:8.2f}  "
        f"direct {felt.direct_p50_ms:6.2f}, p99 {felt.direct_p99_ms:6.2f}  failed {felt.failed}  "
        f"dropped {felt.dropped}  messages {felt.messages_dropped}  open {felt.open_connections}  "
        f"refused {felt.refused}  displaced {felt.displaced}  acts/s {felt.acts_per_s:.0f}  "
        f"worker {felt.cores['worker']:.2f}, collector {felt.cores['collector']:.2f} cores",
        flush=True,
    )
    return felt


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run and write the result."""
    parser = argparse.ArgumentParser(prog="python -m bench.hostile")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="of healthy traffic beside each (5)"
    )
    parser.add_argument("--crowd", type=int, default=1000, help="connections of a crowd (1000)")
    parser.add_argument(
        "--max-connections",
        type=int,
        default=0,
        help="of the worker (those of the crowd and 200 more)",
    )
    parser.add_argument("--only", default="", help="kinds whose name begins so")
    parser.add_argument("--out", type=Path, default=Path("bench/results/hostile.json"))
    options = parser.parse_args(arguments)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as directory:
        limit = options.max_connections or options.crowd + 200
        felt = run(Path(directory), options.seconds, options.crowd, limit, options.only)
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "load_before": round(load, 2),
        "rate": RATE,
        "max_connections": limit,
        "felt": [asdict(each) for each in felt],
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    return result


if __name__ == "__main__":
    main()
