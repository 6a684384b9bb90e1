"""Tables and plots from results: `python -m bench.macro.report FILE...` prints the tables.

With `--write README.md` it replaces what stands between the two markers of that file. Pure but for
`main`: results in, Markdown out.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from bench.macro import tables
from bench.macro.processor import CORE, SHARES
from bench.macro.run import EVENTS, FLOOD, IDLE, KINDS, LATENCY, PACED, SUSTAINED, Run

BEGIN: Final = "<!-- results: begin -->"
END: Final = "<!-- results: end -->"
PACED_BEGIN: Final = "<!-- paced: begin -->"
PACED_END: Final = "<!-- paced: end -->"


class Result(msgspec.Struct, kw_only=True, frozen=True):
    """The content of one file of results."""

    when: str
    """UTC, ISO 8601."""
    command: str
    machine: dict[str, str]
    versions: dict[str, str]
    runs: list[Run]
    skipped: dict[str, str] = {}
    """System -> why it was not measured."""


def markdown(result: Result) -> str:
    """Return all tables of one result, with where they come from."""
    kinds = {kind: [run for run in result.runs if run.kind == kind] for kind in KINDS}
    by_share = {share: [run for run in kinds[SUSTAINED] if run.share == share] for share in SHARES}
    parts = [
        f"{result.when} · {', '.join(f'{key} {value}' for key, value in result.machine.items())}",
        f"Versions: {', '.join(f'{key} {value}' for key, value in result.versions.items())}. "
        f"`{result.command}`",
        tables.paced_table(kinds[PACED]) if kinds[PACED] else "",
        *tables.cpu_tables(by_share[CORE]),
        *(
            tables.share_table(SHARES[share].title, runs)
            for share, runs in by_share.items()
            if runs and share != CORE
        ),
        tables.latency_table(kinds[LATENCY]) if kinds[LATENCY] else "",
        tables.flood_table(kinds[FLOOD]) if kinds[FLOOD] else "",
        tables.streams_table(kinds[EVENTS]) if kinds[EVENTS] else "",
        tables.idle_table(kinds[IDLE]) if kinds[IDLE] else "",
        tables.share_table(SHARES[CORE].title, by_share[CORE]) if by_share[CORE] else "",
        "\n".join(f"Not measured: {system}: {why}" for system, why in result.skipped.items()),
        "\n".join(
            f"{system} wrote no access log: its figures are too good"
            for system in tables.silent(result.runs)
        ),
    ]
    return "\n\n".join(part for part in parts if part)


def replaced(text: str, section: str, begin_mark: str = BEGIN, end_mark: str = END) -> str:
    """Return `text` with what stands between the markers replaced.

    Raises:
        ValueError: the markers are missing or in the wrong order.
    """
    before, begin, rest = text.partition(begin_mark)
    _, end, after = rest.partition(end_mark)
    if not begin or not end:
        raise ValueError(f"markers {begin_mark} and {end_mark} are missing")
    return f"{before}{begin}\n\n{section}\n\n{end}{after}"


def write(results: Sequence[Result], path: Path) -> None:
    """Put the tables between the markers of a file; that of ordinary rates has its own, above all
    others.
    """
    text = path.read_text()
    for is_paced, begin, end in ((True, PACED_BEGIN, PACED_END), (False, BEGIN, END)):
        parts = [_of_kind(result, is_paced=is_paced) for result in results]
        section = "\n\n".join(markdown(part) for part in parts if part.runs)
        if section:
            text = replaced(text, section, begin, end)
    path.write_text(text)


def _of_kind(result: Result, *, is_paced: bool) -> Result:
    return replace(result, runs=[run for run in result.runs if (run.kind == PACED) is is_paced])


def main() -> int:
    """Print or write the tables of the given files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument(
        "--write", type=Path, help="replace the section between the markers of this file"
    )
    options = parser.parse_args()
    results = [msgspec.json.decode(path.read_bytes(), type=Result) for path in options.files]

    if options.write:
        write(results, options.write)
    else:
        print("\n\n".join(map(markdown, results)))

    return 0


if __name__ == "__main__":
    raise SystemExit(main())
