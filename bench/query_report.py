"""The table of reads at size: `python -m bench.query_report SQLITE.json POSTGRES.json --write
bench/README.md`.

Takes two files of `bench.queries` for the same number of records. A list is shown at its slowest
depth. Pure but for `main`: results in, Markdown out.
"""

import argparse
from pathlib import Path
from typing import Final

import msgspec

from bench.macro.report import replaced
from bench.macro.tables import table
from bench.queries import Measured

BEGIN: Final = "<!-- reads: begin -->"
END: Final = "<!-- reads: end -->"
_DEPTHS: Final = ("first", "middle", "deep")


class Reads(msgspec.Struct, frozen=True):
    """The content of one file of results."""

    backend: str
    rows: int
    bytes_per_row: float
    results: dict[str, Measured]


def slowest(reads: Reads) -> dict[str, Measured]:
    """Name each query once, a list by the depth with the largest p95."""
    found: dict[str, Measured] = {}
    for name, measured in reads.results.items():
        plain, _, depth = name.rpartition(", ")
        key = plain if depth in _DEPTHS else name
        if key not in found or measured.p95_ms > found[key].p95_ms:
            found[key] = measured

    return found


def markdown(first: Reads, second: Reads) -> str:
    """Write the table of two stores, in the order of the first file's queries."""
    one = slowest(first)
    other = slowest(second)
    rows = []

    for name, measured in one.items():
        pair = (measured, other.get(name, measured))
        cut = " (cut)" if any(each.complete is False for each in pair) else ""
        figures = [measured.first_ms, measured.p50_ms, measured.p95_ms, measured.cpu_ms]
        if name in other:
            figures += [other[name].first_ms, other[name].p50_ms, other[name].p95_ms]
        rows.append([name + cut, *(f"{figure:.1f}" for figure in figures)])

    header = [f"ms at {first.rows} rows"]
    header += [
        f"{first.backend} first",
        "p50",
        "p95",
        "CPU",
        f"{second.backend} first",
        "p50",
        "p95",
    ]
    return table(header, rows)


def main() -> None:
    """Print or write the table of the given files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs=2, type=Path)
    parser.add_argument(
        "--write", type=Path, help="replace the section between the markers of this file"
    )
    options = parser.parse_args()
    section = markdown(
        *(msgspec.json.decode(path.read_bytes(), type=Reads) for path in options.files)
    )

    if options.write is None:
        print(section)
    else:
        options.write.write_text(replaced(options.write.read_text(), section, BEGIN, END))


if __name__ == "__main__":
    main()
