"""Tables and plots from results: `python -m bench.macro.report FILE...` prints the tables.

With `--write README.md` it replaces what stands between the two markers of that file, and draws the plots of the first
file beside it, in `results/`. Pure but for `main`: results in, Markdown and SVG out.
"""

import argparse
from pathlib import Path
from typing import Final

import msgspec

from bench.macro import plots, tables
from bench.macro.run import STREAMS, Run

BEGIN: Final = "<!-- results: begin -->"
END: Final = "<!-- results: end -->"


class Result(msgspec.Struct, kw_only=True, frozen=True):
    """The content of one file of results."""

    when: str
    """UTC, ISO 8601."""
    command: str
    machine: dict[str, str]
    versions: dict[str, str]
    options: dict[str, str]
    runs: list[Run]
    skipped: dict[str, str] = {}
    """System -> why it was not measured."""


def markdown(result: Result) -> str:
    """Return all tables of one result, with where they come from."""
    streams = [run for run in result.runs if run.scenario == STREAMS]
    rest = [run for run in result.runs if run.scenario != STREAMS]
    paced = [run for run in rest if run.rate]
    loaded = [run for run in rest if run.connections > 1 and not run.rate]
    single = [run for run in rest if run.connections == 1]
    parts = [
        f"{result.when} · {', '.join(f'{key} {value}' for key, value in result.machine.items())}",
        f"Versions: {', '.join(f'{key} {value}' for key, value in result.versions.items())}. `{result.command}`",
        *tables.cpu_tables(loaded),
        tables.paced_table(paced) if paced else "",
        tables.latency_table(single) if single else "",
        tables.streams_table(streams) if streams else "",
        tables.rate_table(loaded) if loaded else "",
        tables.ledger_table([*loaded, *paced]),
        "\n".join(f"Not measured: {system}: {why}" for system, why in result.skipped.items()),
        "\n".join(f"{system} wrote no access log: its figures are too good" for system in tables.silent(rest)),
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


def main() -> int:
    """Print or write the tables of the given files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--write", type=Path, help="replace the section between the markers of this file")
    options = parser.parse_args()
    results = [msgspec.json.decode(path.read_bytes(), type=Result) for path in options.files]
    section = "\n\n".join(markdown(result) for result in results)
    if options.write is None:
        print(section)
        return 0
    shown = []
    for name, title, drawing in plots.all_plots(results[0].runs):
        (options.write.parent / "results" / f"{name}.svg").write_text(drawing)
        shown.append(f"![{title}](results/{name}.svg)")
    options.write.write_text(replaced(options.write.read_text(), "\n\n".join([*shown, section])))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
