"""Run the micro benchmarks, print a table, and keep it as JSON: `python -m bench.micro [--json
FILE] [NAME ...]`.

Every module here that has a function `measures` takes part, in the order of their names; the others
are programs of their own.
"""

import argparse
import importlib
import json
import pkgutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import bench.micro
from bench.macro.machine import machine
from bench.micro.measure import ROUNDS, Measure


def suites(wanted: Sequence[str]) -> dict[str, list[Measure]]:
    """Run the modules named, all if none is."""
    results = {}
    for module in sorted(
        pkgutil.iter_modules(bench.micro.__path__), key=lambda module: module.name
    ):
        if module.name == "__main__" or (wanted and module.name not in wanted):
            continue
        measures = getattr(importlib.import_module(f"bench.micro.{module.name}"), "measures", None)
        if measures is not None:
            results[module.name] = list(measures())

    return results


def table(results: dict[str, list[Measure]]) -> str:
    """Lay the figures out as text."""
    lines = [f"{'µs per operation':<44}{'median':>10}{'fastest':>10}{'slowest':>10}"]
    for suite, rows in results.items():
        for row in rows:
            figures = "".join(
                f"{ns / 1e3:>10.3f}" for ns in (row.ns, row.fastest_ns, row.slowest_ns)
            )
            lines.append(f"{suite + ': ' + row.name:<44}{figures}")

    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write the file that was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.micro", description="time single parts of sidelog"
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="module of bench/micro; default: all"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    arguments = parser.parse_args()
    results = suites(arguments.names)
    if not results:
        parser.error(f"no benchmark is named {', '.join(arguments.names)}")
    print(table(results))
    if arguments.json:
        document = {
            "command": f"python -m bench.micro {' '.join(arguments.names)}".strip(),
            "machine": machine(),
            "rounds": ROUNDS,
            "suites": {suite: [asdict(row) for row in rows] for suite, rows in results.items()},
        }
        arguments.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
