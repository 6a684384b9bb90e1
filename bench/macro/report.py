"""Tables from results: medians over the rounds, ratios within one run on one machine.

`python -m bench.macro.report FILE...` prints the tables of the results; with `--write README.md` it replaces what
stands between the two markers of that file. Pure but for `main`: results in, Markdown out.
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from bench.macro.run import Run
from bench.macro.scenarios import SCENARIOS

BEGIN: Final = "<!-- results: begin -->"
END: Final = "<!-- results: end -->"
REFERENCES: Final = ("nginx", "haproxy")
DATA_PLANE: Final = ("proxy", "worker", "supervisor")
"""Roles that a request has to wait for; the collector works behind."""


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


def data_plane_us(run: Run) -> float:
    """CPU microseconds per request of the processes that forward it."""
    return sum(cost for role, cost in run.cpu_us.items() if role in DATA_PLANE)


def total_us(run: Run) -> float:
    """CPU microseconds per exchange of all processes."""
    return sum(run.cpu_us.values())


def middle(runs: Iterable[Run], value: Callable[[Run], float]) -> float | None:
    """Return the median of a value over some runs, None without runs."""
    values = [value(run) for run in runs]
    return median(values) if values else None


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, first column left, others right."""
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def _systems(runs: Iterable[Run]) -> list[str]:
    return list(dict.fromkeys(run.system for run in runs if run.system != "upstream"))


def _scenarios(runs: Sequence[Run]) -> list[tuple[str, str]]:
    present = {run.scenario for run in runs}
    return [(scenario.name, scenario.title) for scenario in SCENARIOS if scenario.name in present]


def _select(runs: Iterable[Run], system: str, scenario: str) -> list[Run]:
    return [run for run in runs if run.system == system and run.scenario == scenario]


def _with_ratios(cost: float | None, references: Sequence[float | None]) -> str:
    if cost is None:
        return "–"
    ratios = " / ".join(f"{cost / base:.2f}" if base else "–" for base in references)
    return f"{cost:.1f} ({ratios})"


def cpu_table(runs: Sequence[Run]) -> str:
    """CPU per request: one row per system, sidelog as data plane, collector and both; ratios to nginx / HAProxy."""
    scenarios = _scenarios(runs)
    references = {
        name: [middle(_select(runs, base, name), data_plane_us) for base in REFERENCES] for name, _ in scenarios
    }
    rows = []
    for system in _systems(runs):
        kinds: list[tuple[str, Callable[[Run], float]]] = [(system, data_plane_us)]
        if any("collector" in run.cpu_us for run in runs if run.system == system):
            kinds = [
                (f"{system}: data plane", data_plane_us),
                (f"{system}: collector", lambda run: run.cpu_us.get("collector", 0.0)),
                (f"{system}: both", total_us),
            ]
        for title, value in kinds:
            cells = [
                _with_ratios(middle(_select(runs, system, name), value), references[name]) for name, _ in scenarios
            ]
            rows.append([title, *cells])
    return table(["CPU µs per request (× nginx / × HAProxy)", *(title for _, title in scenarios)], rows)


def rate_table(runs: Sequence[Run]) -> str:
    """Requests a second, latency under load, memory and errors, one row per system and scenario."""
    rows = []
    for name, title in _scenarios(runs):
        for system in _systems(runs):
            found = _select(runs, system, name)
            if found:
                memory = middle(found, lambda run: sum(run.memory_bytes.values())) or 0
                rows.append(
                    [
                        f"{title}: {system}",
                        f"{middle(found, lambda run: run.requests_per_s) or 0:,.0f}",
                        f"{(middle(found, lambda run: run.p50_us) or 0) / 1e3:.2f}",
                        f"{(middle(found, lambda run: run.p99_us) or 0) / 1e3:.2f}",
                        f"{memory / 2**20:.0f}",
                        str(sum(run.errors for run in found)),
                    ]
                )
    return table(["64 connections", "requests/s", "p50 ms", "p99 ms", "memory MiB", "errors"], rows)


def latency_table(runs: Sequence[Run]) -> str:
    """Latency at one connection, and what is added to going straight to the upstream."""
    direct = [run for run in runs if run.system == "upstream"]
    direct_p50 = middle(direct, lambda run: run.p50_us) or 0
    direct_p99 = middle(direct, lambda run: run.p99_us) or 0
    rows = [["straight to the upstream", f"{direct_p50:.0f}", f"{direct_p99:.0f}", "", ""]]
    for system in _systems(runs):
        found = [run for run in runs if run.system == system]
        p50 = middle(found, lambda run: run.p50_us) or 0
        p99 = middle(found, lambda run: run.p99_us) or 0
        rows.append([system, f"{p50:.0f}", f"{p99:.0f}", f"{p50 - direct_p50:+.0f}", f"{p99 - direct_p99:+.0f}"])
    return table(["one connection", "p50 µs", "p99 µs", "added p50", "added p99"], rows)


def ledger_table(runs: Sequence[Run]) -> str:
    """What sidelog recorded of the load, summed over the rounds."""
    rows = []
    for name, title in _scenarios(runs):
        for system in _systems(runs):
            found = [run for run in _select(runs, system, name) if run.received]
            if found:
                sums = [sum(getattr(run, field) for run in found) for field in ("received", "stored", "dropped")]
                slowest_s = max(run.drained_s for run in found)
                balanced = "yes" if all(run.is_balanced for run in found) else "NO"
                rows.append([f"{title}: {system}", *(f"{n:,}" for n in sums), f"{slowest_s:.2f}", balanced])
    return table(["ledger", "received", "stored", "dropped", "drained s (slowest)", "balanced"], rows) if rows else ""


def markdown(result: Result) -> str:
    """Return all tables of one result, with where they come from."""
    loaded = [run for run in result.runs if run.connections > 1]
    single = [run for run in result.runs if run.connections == 1]
    parts = [
        f"{result.when} · {', '.join(f'{key} {value}' for key, value in result.machine.items())}",
        f"Versions: {', '.join(f'{key} {value}' for key, value in result.versions.items())}. `{result.command}`",
        cpu_table(loaded) if loaded else "",
        rate_table(loaded) if loaded else "",
        latency_table(single) if single else "",
        ledger_table(loaded),
        "\n".join(f"Not measured: {system}: {why}" for system, why in result.skipped.items()),
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
    else:
        options.write.write_text(replaced(options.write.read_text(), section))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
