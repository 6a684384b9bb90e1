"""Tables of runs: medians over the rounds, ratios within one run on one machine. Pure."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Final

from bench.macro.run import Run
from bench.macro.scenarios import SCENARIOS

REFERENCES: Final = ("nginx", "haproxy", "envoy")
DATA_PLANE: Final = ("proxy", "worker", "supervisor")
"""Roles that a request has to wait for; the collector works behind."""
MAX_COLUMNS: Final = 6
LOGGING: Final = ("nginx", "haproxy", "envoy", "caddy", "traefik")

Kind = tuple[str, Callable[[Run], float]]


def data_plane_us(run: Run) -> float:
    """CPU microseconds per request of the processes that forward it."""
    return sum(cost for role, cost in run.cpu_us.items() if role in DATA_PLANE)


def total_us(run: Run) -> float:
    """CPU microseconds per exchange of all processes."""
    return sum(run.cpu_us.values())


def collector_us(run: Run) -> float:
    """CPU microseconds per record of sidelog's collector; 0 for a peer."""
    return run.cpu_us.get("collector", 0.0)


def middle(runs: Iterable[Run], value: Callable[[Run], float]) -> float | None:
    """Return the median of a value over some runs, None without runs."""
    values = [value(run) for run in runs]
    return median(values) if values else None


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, first column left, others right."""
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def systems_of(runs: Iterable[Run]) -> list[str]:
    return list(dict.fromkeys(run.system for run in runs if run.system != "upstream"))


def kinds_of(runs: Sequence[Run], system: str) -> list[Kind]:
    """Return what is shown of a system's CPU: one figure, or those of data plane and collector apart."""
    if not any("collector" in run.cpu_us for run in runs if run.system == system):
        return [(system, data_plane_us)]
    return [
        (f"{system}: data plane", data_plane_us),
        (f"{system}: collector", collector_us),
        (f"{system}: both", total_us),
    ]


def _scenarios(runs: Sequence[Run]) -> list[tuple[str, str]]:
    present = {run.scenario for run in runs}
    return [(scenario.name, scenario.title) for scenario in SCENARIOS if scenario.name in present]


def selected(runs: Iterable[Run], system: str, scenario: str) -> list[Run]:
    return [run for run in runs if run.system == system and run.scenario == scenario]


def _with_ratios(cost: float | None, references: Sequence[float | None]) -> str:
    if cost is None:
        return "–"
    ratios = " / ".join(f"{cost / base:.2f}" if base else "–" for base in references)
    return f"{cost:.1f} ({ratios})"


def cpu_tables(runs: Sequence[Run]) -> list[str]:
    """Return the CPU of all scenarios, in tables that are narrow enough to be read."""
    names = [name for name, _ in _scenarios(runs)]
    parts = [names[at : at + MAX_COLUMNS] for at in range(0, len(names), MAX_COLUMNS)]
    return [cpu_table([run for run in runs if run.scenario in part]) for part in parts]


def cpu_table(runs: Sequence[Run]) -> str:
    """CPU per request, one row per system, for sidelog three; ratios to nginx, HAProxy and Envoy."""
    scenarios = _scenarios(runs)
    references = {
        name: [middle(selected(runs, base, name), data_plane_us) for base in REFERENCES] for name, _ in scenarios
    }
    rows = []
    for system in systems_of(runs):
        for title, value in kinds_of(runs, system):
            cells = [
                _with_ratios(middle(selected(runs, system, name), value), references[name]) for name, _ in scenarios
            ]
            rows.append([title, *cells])
    return table(["CPU µs per request (× nginx / HAProxy / Envoy)", *(title for _, title in scenarios)], rows)


def rate_table(runs: Sequence[Run]) -> str:
    """Requests a second, latency under load, memory and errors, one row per system and scenario."""
    rows = []
    for name, title in _scenarios(runs):
        for system in systems_of(runs):
            found = selected(runs, system, name)
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
    return table(["64 connections, saturated", "requests/s", "p50 ms", "p99 ms", "memory MiB", "errors"], rows)


def latency_table(runs: Sequence[Run]) -> str:
    """Latency at one connection, and what is added to going straight to the upstream."""
    direct = [run for run in runs if run.system == "upstream"]
    direct_p50 = middle(direct, lambda run: run.p50_us) or 0
    direct_p99 = middle(direct, lambda run: run.p99_us) or 0
    rows = [["straight to the upstream", f"{direct_p50:.0f}", f"{direct_p99:.0f}", "", ""]]
    for system in systems_of(runs):
        found = [run for run in runs if run.system == system]
        p50 = middle(found, lambda run: run.p50_us) or 0
        p99 = middle(found, lambda run: run.p99_us) or 0
        rows.append([system, f"{p50:.0f}", f"{p99:.0f}", f"{p50 - direct_p50:+.0f}", f"{p99 - direct_p99:+.0f}"])
    return table(["one connection", "p50 µs", "p99 µs", "added p50", "added p99"], rows)


def ledger_table(runs: Sequence[Run]) -> str:
    """What sidelog recorded of the load, summed over the rounds."""
    rows = []
    for name, title in _scenarios(runs):
        for system in systems_of(runs):
            found = [run for run in selected(runs, system, name) if run.received]
            if found:
                sums = [sum(getattr(run, field) for run in found) for field in ("received", "stored", "dropped")]
                slowest_s = max(run.drained_s for run in found)
                balanced = "yes" if all(run.is_balanced for run in found) else "NO"
                rows.append([f"{title}: {system}", *(f"{n:,}" for n in sums), f"{slowest_s:.2f}", balanced])
    return table(["ledger", "received", "stored", "dropped", "drained s (slowest)", "balanced"], rows) if rows else ""


def paced_table(runs: Sequence[Run]) -> str:
    """CPU and latency at the same rate for all: a slow proxy is not flattered by doing less."""
    rows = []
    for rate in sorted({run.rate for run in runs}):
        for system in systems_of(runs):
            found = [run for run in runs if run.system == system and run.rate == rate]
            if not found:
                continue
            values: tuple[Callable[[Run], float], ...] = (data_plane_us, collector_us, total_us)
            costs = [f"{middle(found, value) or 0:.1f}" if middle(found, value) else "" for value in values]
            p50, p99 = middle(found, lambda run: run.p50_us) or 0, middle(found, lambda run: run.p99_us) or 0
            reached = middle(found, lambda run: run.requests_per_s) or 0
            errors = str(sum(run.errors for run in found))
            rows.append([f"{rate:,}/s: {system}", f"{reached:,.0f}", *costs, f"{p50:.0f}", f"{p99:.0f}", errors])
    header = ["equal rate, GET all different", "reached/s", "CPU µs data plane", "collector", "both"]
    return table([*header, "p50 µs", "p99 µs", "errors"], rows)


def streams_table(runs: Sequence[Run]) -> str:
    """What event streams cost, and by how much each event came later than without a proxy."""
    direct = [run for run in runs if run.system == "upstream"]
    direct_p50, direct_p99 = (middle(direct, value) or 0 for value in (lambda r: r.p50_us, lambda r: r.p99_us))
    rows = [["straight to the upstream", "", "", f"{direct_p50:.0f}", f"{direct_p99:.0f}", "", "", ""]]
    for system in systems_of(runs):
        found = [run for run in runs if run.system == system]
        p50, p99 = middle(found, lambda run: run.p50_us) or 0, middle(found, lambda run: run.p99_us) or 0
        events = sum(run.requests for run in found)
        writes = sum(run.writes for run in found)
        rows.append(
            [
                system,
                f"{middle(found, data_plane_us) or 0:.1f}",
                f"{middle(found, collector_us) or 0:.1f}" if middle(found, collector_us) else "",
                f"{p50:.0f}",
                f"{p99:.0f}",
                f"{p99 - direct_p99:+.0f}",
                f"{events / max(1, sum(run.reads for run in found)):.2f}",
                f"{writes / max(1, events):.2f}" if writes else "",
            ]
        )
    header = [f"{max(run.connections for run in runs)} event streams", "CPU µs an event, data plane", "collector"]
    return table([*header, "p50 µs", "p99 µs", "added p99", "events a read", "writes an event"], rows)


def silent(runs: Iterable[Run]) -> list[str]:
    """Return the peers that were to log and wrote nothing: their figures are too good."""
    logged: dict[str, int] = {}
    for run in runs:
        if run.system in LOGGING:
            logged[run.system] = logged.get(run.system, 0) + run.logged_bytes
    return [system for system, size in logged.items() if size == 0]
