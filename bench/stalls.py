"""What is lost when recording stalls for some seconds: `python -m bench.stalls --store sqlite
postgres --workers 1 2`.

A sidelog on one core is loaded by 64 connections that send as fast as they are answered, with GETs
that all differ, or POSTs of 1 KB each way. Three seconds later something stalls: see `STALLS`. For
each it is said how many records were dropped, by reason, how long a request waited for recording at
most, by its record, and how long an answer took at most. Load and upstream have the last core. Exit
code 1 when a record was dropped, a request failed or waited for longer than it may, or the ledger
did not add up.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import signal
import sqlite3
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg

from bench.macro.load import Generator, LoadResult
from bench.macro.machine import machine
from bench.macro.peers import started
from bench.macro.place import HERE, Place, on_core
from bench.macro.scenarios import chosen
from tests.support import postgres
from tests.support.ports import free_port
from tests.support.sidelog import Sidelog, await_pids, customized

LOAD_S: Final = 12.0
BEFORE_S: Final = 3.0
STALL_S: Final = 3.0
SERVER_STALL_S: Final = 2.0
SLACK_MS: Final = 200
"""A worker that gets no processor reads a held request later."""
SETTLE_S: Final = 120.0
_HANG: Final = """
import sys
if "proxy.collector" in sys.orig_argv:
    import contextlib, os, time
    from storage.sqlite import connection
    inner = connection.transaction

    @contextlib.contextmanager
    def transaction(opened):
        with inner(opened):
            yield
            if os.path.exists({path!r}):
                os.unlink({path!r})
                time.sleep({seconds})

    connection.transaction = transaction
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """A running sidelog, and what its store is."""

    sidelog: Sidelog
    server: postgres.Server | None
    """None: SQLite."""
    hang: Path
    """Made, it lets the next commit hang."""


def _nothing(rig: Rig) -> None:
    """Let it be: what stalls is the collector that has not started yet."""


def _kill(rig: Rig) -> None:
    (pid,) = await_pids(rig.sidelog, "proxy.collector")
    os.kill(pid, signal.SIGKILL)


def _stop(rig: Rig) -> None:
    (pid,) = await_pids(rig.sidelog, "proxy.collector")
    os.kill(pid, signal.SIGSTOP)
    time.sleep(STALL_S)
    os.kill(pid, signal.SIGCONT)


def _reload(rig: Rig) -> None:
    assert rig.sidelog.process
    rig.sidelog.process.send_signal(signal.SIGHUP)


def _lock(rig: Rig) -> None:
    path = rig.sidelog.data_dir / "sidelog.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(STALL_S)
        other.execute("ROLLBACK")


def _hang(rig: Rig) -> None:
    rig.hang.touch()


def _stop_server(rig: Rig) -> None:
    assert rig.server
    stopped = rig.server.pids()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(SERVER_STALL_S)
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)


@dataclass(frozen=True, slots=True)
class Stall:
    """What happens while the load runs."""

    title: str
    begin: Callable[[Rig], None]
    store: str = ""
    """The only one it can be had with; empty: any."""


STALLS: Final = {
    "start": Stall("load from the first answer on; the collector starts later", _nothing),
    "kill": Stall("the collector is killed", _kill),
    "stop": Stall("the collector is stopped for 3 s", _stop),
    "reload": Stall("a reload", _reload),
    "lock": Stall("another process holds SQLite for 3 s", _lock, "sqlite"),
    "fsync": Stall(
        "a commit hangs for 3 s in the store's thread, as by a sync of a slow disk", _hang, "sqlite"
    ),
    "server": Stall("Postgres is stopped for 2 s", _stop_server, "postgres"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One combination."""

    stall: str
    store: str
    workers: int
    ring_mib: int
    max_wait_ms: int
    scenario: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What came of it."""

    case: Case
    requests: int
    errors: int
    stored: int
    pending: int
    """Not stored in the time given."""
    dropped: dict[str, int]
    waits: int
    standstills: int
    longest_wait_ms: int
    """Of a request, for recording."""
    longest_answer_ms: int
    problems: list[str] = field(default_factory=list)


@contextlib.contextmanager
def _started(case: Case, directory: Path, upstream: str, tree: Path) -> Iterator[Rig]:
    hang = directory / "hang"
    program = [*on_core(min(os.sched_getaffinity(0))), sys.executable, "-m", "proxy"]
    environ = {
        "SIDELOG_RING__BYTES": str(case.ring_mib << 20),
        "SIDELOG_CAPTURE__MAX_WAIT_MS": str(case.max_wait_ms),
    }
    if case.stall == "fsync":
        environ |= customized(directory, _HANG.format(path=str(hang), seconds=STALL_S))
        environ["PYTHONPATH"] = f"{directory}{os.pathsep}{tree}"
    with contextlib.ExitStack() as stack:
        server = None
        if case.store == "postgres":
            server = stack.enter_context(postgres.own_server())
            environ["SIDELOG_STORAGE__URL"] = server.url("postgres")
        sidelog = Sidelog(
            directory / "data", upstream, "--workers", str(case.workers), environ=environ
        )
        sidelog.start_in(tree, program)
        sidelog.start(is_awaited=case.stall != "start")
        stack.callback(sidelog.stop, check=False)
        yield Rig(sidelog=sidelog, server=server, hang=hang)


def _await_answer(url: str) -> None:
    """Wait until a worker answers: connections are accepted by the kernel before."""
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(url + "/json", timeout=60):
            return
        time.sleep(0.005)


def _longest_wait_ms(rig: Rig) -> int:
    if rig.server is not None:
        return asyncio.run(_longest_wait_in_postgres(rig.server.url("postgres")))
    sql = (
        "SELECT max(json_extract(CAST(data AS TEXT), '$.recording_wait_ms')) "
        "FROM records WHERE data IS NOT NULL"
    )
    path = rig.sidelog.data_dir / "sidelog.db"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return int(connection.execute(sql).fetchone()[0] or 0)


async def _longest_wait_in_postgres(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        value = "convert_from(data, 'UTF8')::json->>'recording_wait_ms'"
        found = await connection.fetchval(
            f"SELECT max(({value})::int) FROM sidelog.records WHERE data IS NOT NULL"
        )
    finally:
        await connection.close()

    return int(found or 0)


def _settled(sidelog: Sidelog) -> dict[str, Any]:
    """Return the ledger once nothing waits; after a while what there is, with the log on stderr.

    Raises:
        OSError: the admin port does not answer.
    """
    ends_s = time.monotonic() + SETTLE_S
    while True:
        try:
            ledger: dict[str, Any] = sidelog.api("/api/ledger")
        except OSError:  # the collector is being replaced
            if time.monotonic() > ends_s:
                raise
            time.sleep(0.2)
            continue

        if not ledger["waiting"] and not ledger["spooled"]:
            return ledger
        if time.monotonic() > ends_s:
            print(ledger, sidelog.api("/api/status"), sidelog.log, file=sys.stderr, flush=True)
            return ledger

        time.sleep(0.2)


def measured(case: Case, directory: Path, upstream: str, tree: Path, seconds: float) -> Found:
    """Load, stall, and wait until all is stored."""
    generator = Generator(directory=directory, prefix=on_core(max(os.sched_getaffinity(0))))
    (scenario,) = chosen(case.scenario)
    loaded: list[LoadResult] = []

    with _started(case, directory, upstream, tree) as rig:
        _await_answer(rig.sidelog.url)
        load = threading.Thread(
            target=lambda: loaded.append(generator.run(scenario, rig.sidelog.url, seconds=seconds)),
            name="load",
        )
        load.start()
        time.sleep(BEFORE_S)
        STALLS[case.stall].begin(rig)
        load.join()
        ledger = _settled(rig.sidelog)
        rings = rig.sidelog.api("/api/status")["rings"]
        waited_ms = _longest_wait_ms(rig)

    (result,) = loaded
    found = Found(
        case=case,
        requests=result.requests,
        errors=result.errors,
        stored=ledger["stored"],
        pending=ledger["waiting"] + ledger["spooled"],
        dropped={reason: count for reason, count in ledger["dropped"].items() if count},
        waits=sum(ring.get("recording_waits") or 0 for ring in rings),
        standstills=sum(ring.get("recording_standstills") or 0 for ring in rings),
        longest_wait_ms=waited_ms,
        longest_answer_ms=result.max_us // 1000,
    )
    found.problems.extend(problems(found))
    return found


def problems(found: Found) -> list[str]:
    """Say what did not hold."""
    wrong = []
    if found.dropped:
        wrong.append("dropped")
    if found.pending:
        wrong.append(f"{found.pending:,} not stored")
    if found.errors:
        wrong.append(f"{found.errors:,} errors")
    if found.longest_wait_ms > found.case.max_wait_ms + SLACK_MS:
        wrong.append("waited")
    return wrong


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """Yield all combinations that there are."""
    for store, ring_mib, workers, name in itertools.product(
        options.store, options.ring_mib, options.workers, options.stall
    ):
        if STALLS[name].store in ("", store):
            yield Case(
                stall=name,
                store=store,
                workers=workers,
                ring_mib=ring_mib,
                max_wait_ms=options.max_wait_ms,
                scenario=options.scenario,
            )


def row(found: Found) -> str:
    """Return a line of a table."""
    case = found.case
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in found.dropped.items()) or "0"
    cells = (
        case.stall,
        case.store,
        str(case.workers),
        str(case.ring_mib),
        f"{found.requests:,}",
        f"{found.stored:,}",
        dropped,
        f"{found.waits:,}",
        str(found.longest_wait_ms),
        str(found.longest_answer_ms),
        ", ".join(found.problems),
    )
    return f"| {' | '.join(cells)} |"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.stalls", description=__doc__)
    parser.add_argument("--stall", nargs="+", choices=STALLS, default=list(STALLS))
    parser.add_argument(
        "--store", nargs="+", choices=("sqlite", "postgres"), default=["sqlite", "postgres"]
    )
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--ring-mib", nargs="+", type=int, default=[64, 16])
    parser.add_argument("--max-wait-ms", type=int, default=100)
    parser.add_argument("--scenario", choices=("getvar", "postvar"), default="getvar")
    parser.add_argument("--seconds", type=float, default=LOAD_S)
    parser.add_argument(
        "--tree", type=Path, default=HERE, help="where sidelog is started from: build/compiled"
    )
    parser.add_argument("--output", type=Path, help="a file for all of it as JSON")
    return parser.parse_args()


def main() -> int:
    """Measure each combination once, and print a table."""
    options = _options()
    print(
        "| stall | store | workers | ring MiB | requests | stored | dropped | waits | longest, ms "
        "| answer, ms | |"
    )
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|", flush=True)
    all_found: list[dict[str, Any]] = []

    for case in cases(options):
        with tempfile.TemporaryDirectory(prefix="sidelog-stalls-") as name:
            place = Place(
                directory=Path(name) / "upstream",
                port=free_port(),
                upstream_port=0,
                prefix=on_core(max(os.sched_getaffinity(0))),
            )
            with started("upstream", place) as upstream:
                (Path(name) / "sidelog").mkdir()
                tree = options.tree.resolve()
                found = measured(case, Path(name) / "sidelog", upstream.url, tree, options.seconds)

        print(row(found), flush=True)
        all_found.append(asdict(found))

    if options.output:
        when = datetime.now(UTC).isoformat(timespec="seconds")
        document = {
            "when": when,
            "machine": machine(),
            "tree": options.tree.name,
            "found": all_found,
        }
        options.output.write_text(json.dumps(document, indent=1) + "\n")

    return int(any(found["problems"] for found in all_found))


if __name__ == "__main__":
    raise SystemExit(main())
