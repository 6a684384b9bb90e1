"""Whether exports of a large store stay flat in memory: `python -m bench.export --data-dir DIR`, a data directory.

A store is made first (`python -m bench.generate --directory DIR --storage sqlite:///sidelog.db`). Each format is taken
out by `sidelog export`, from a sidelog that serves a copy of the store and from the store itself where nothing runs,
and read by readers that are not ours while it comes: the csv module, and a JSON parser line by line. What is compared
is the memory of both processes in the first and in the last quarter of an export. Results are JSON in `bench/results`.
"""

import argparse
import csv
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final

import psutil

from bench.macro.machine import machine
from tests.support.sidelog import Sidelog

FORMATS: Final = ("csv", "ndjson", "har")
SAMPLE_S: Final = 0.25
MIB: Final = 1 << 20
KEEP_ALL: Final = {"SIDELOG_RETENTION__MAX_AGE_DAYS": "0", "SIDELOG_RETENTION__BODY_MAX_AGE_DAYS": "0"} | {
    "SIDELOG_RETENTION__MAX_BYTES": "0"
}


def count_csv(lines: Iterator[str]) -> int:
    """Read a table; every row must have a cell for each column, and no cell may be a formula."""
    rows = csv.reader(lines, strict=True)
    width, count = len(next(rows)), 0
    for row in rows:
        assert len(row) == width
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)
        count += 1
    return count


def count_ndjson(lines: Iterator[str]) -> int:
    """Read a record a line; their `seq` rises."""
    count = seq = 0
    for line in lines:
        record = json.loads(line)
        assert record["seq"] > seq
        seq = record["seq"]
        count += 1
    return count


def count_har(lines: Iterator[str]) -> int:
    """Read an archive that is longer than memory: an entry a line, between its first and its last."""
    text, count = next(lines), 0
    assert text.endswith('"entries":[\n')
    entry = ""
    for entry in lines:
        if entry.startswith("]"):
            break
        count += len({"request", "response", "timings"} & json.loads(entry.rstrip(",\n")).keys()) == 3
    assert json.loads(text + entry)["log"]["version"] == "1.2"
    return count


READERS: Final[dict[str, Callable[[Iterator[str]], int]]] = {"csv": count_csv, "ndjson": count_ndjson, "har": count_har}


class Watched:
    """The resident memory of processes while an export runs."""

    def __init__(self, processes: dict[str, psutil.Process]) -> None:
        self._processes = processes
        self._next_s = 0.0
        self.samples: dict[str, list[float]] = {name: [] for name in processes}

    def lines(self, stream: IO[str]) -> Iterator[str]:
        """Hand lines on, looking at the processes now and then."""
        for line in stream:
            now_s = time.monotonic()
            if now_s >= self._next_s:
                self._next_s = now_s + SAMPLE_S
                for name, process in self._processes.items():
                    self.samples[name].append(process.memory_info().rss / MIB)
            yield line

    def report(self) -> dict[str, dict[str, float]]:
        """Show the most of the first and of the last quarter, MiB."""
        shown = {}
        for name, samples in self.samples.items():
            quarter = max(1, len(samples) // 4)
            first, last = max(samples[:quarter]), max(samples[-quarter:])
            shown[name] = {"first_quarter_mib": round(first, 1), "last_quarter_mib": round(last, 1)}
        return shown


def export(format: str, arguments: list[str], server: int | None) -> dict[str, Any]:
    """Take one export out and read it."""
    began_s = time.monotonic()
    command = [sys.executable, "-m", "proxy", "export", format, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        processes = {"cli": psutil.Process(process.pid)}
        if server is not None:
            processes["server"] = psutil.Process(server)
        watched = Watched(processes)
        records = READERS[format](watched.lines(io.TextIOWrapper(process.stdout, "utf-8", newline="")))
    assert process.returncode == 0
    seconds = time.monotonic() - began_s
    return {"records": records, "seconds": round(seconds, 1), "records_per_s": round(records / seconds)} | (
        watched.report()
    )


def main(argv: list[str]) -> int:
    """Measure; with `--result` write the figures."""
    parser = argparse.ArgumentParser(prog="bench.export", description="memory of large exports")
    parser.add_argument("--data-dir", type=Path, required=True, help="holds sidelog.db; stays as it is")
    parser.add_argument("--formats", default=",".join(FORMATS), help="some of csv,ndjson,har")
    parser.add_argument("--of", default="store_itself,server", help="some of store_itself,server")
    parser.add_argument("--result", type=Path)
    options = parser.parse_args(argv)
    formats = options.formats.split(",")
    with tempfile.TemporaryDirectory(prefix="sidelog-export-") as directory:
        data_dir = Path(directory, "data")
        data_dir.mkdir(mode=0o700)
        shutil.copy(options.data_dir / "sidelog.db", data_dir)
        subprocess.run([sys.executable, "-m", "proxy", "db", "migrate", "--data-dir", str(data_dir)], check=True)
        found: dict[str, Any] = {"machine": machine(), "server": {}, "store_itself": {}}
        for format in formats if "store_itself" in options.of else ():
            found["store_itself"][format] = export(format, ["--data-dir", str(data_dir)], None)
            print("store itself", format, found["store_itself"][format], flush=True)
        if "server" in options.of:
            with Sidelog(data_dir, "http://127.0.0.1:9", environ=KEEP_ALL) as sidelog:
                (collector,) = sidelog.pids("proxy.collector")
                for format in formats:
                    found["server"][format] = export(format, ["--data-dir", str(data_dir)], collector)
                    print("server", format, found["server"][format], flush=True)
    if options.result is not None:
        options.result.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
