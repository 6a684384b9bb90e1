"""Tables of runs: medians over the rounds, ratios within one run on one machine. Pure."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Final

from bench.macro.run import IDLE, Run
from bench.macro.scenarios import SCENARIOS

REFERENCES: Final = ("nginx", "haproxy", "envoy")
DATA_PLANE: Final = ("proxy", "worker", "supervisor")
"""Roles that a request has to wait for; the collector works behind."""
MAX_COLUMNS: Final = 6
_PROTOCOLS: Final = ("HTTP/1.1", "HTTP/2")
LOGGING: Final = ("nginx", "haproxy", "envoy", "caddy", "traefik", "mitmproxy")

Kind = tuple[str, Callable[[Run], float]]


def data_plane_us(run: Run) -> float:
    """CPU microseconds per request of the processes that forward it."""
    return sum(cost for role, cost in run.cpu_us.items() if role in DATA_PLANE)


def total_us(run: Run) -> float:
    """CPU microseconds per exchange of all processes."""
    return sum(run.cpu_us.values())


def collector_us(run: Run) -> float:
    """CPU microseconds per request of sidelog's collector; 0 for a peer."""
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
    """Return what is shown of a system's CPU: one figure, or those of data plane and collector
    apart.
    """
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
        name: [middle(selected(runs, base, name), data_plane_us) for base in REFERENCES]
        for name, _ in scenarios
    }
    rows = []

    for system in systems_of(runs):
        for title, value in kinds_of(runs, system):
            cells = [
                _with_ratios(middle(selected(runs, system, name), value), references[name])
                for name, _ in scenarios
            ]
            rows.append([title, *cells])

    header = "one core, CPU µs per request, all work included (× nginx / HAProxy / Envoy)"
    return table([header, *(title for _, title in scenarios)], rows)


def share_table(title: str, runs: Sequence[Run]) -> str:
    """What each system sustains with its share of the processor, and what became of sidelog's
    records.
    """
    rows = []
    for name, scenario in _scenarios(runs):
        envoy = middle(selected(runs, "envoy", name), total_us)
        for system in systems_of(runs):
            found = selected(runs, system, name)
            if not found:
                continue

            cost = middle(found, total_us) or 0
            row = [
                f"{scenario}: {system}",
                f"{middle(found, lambda run: run.requests_per_s) or 0:,.0f}",
                f"{cost:.1f} ({cost / envoy:.2f})" if envoy else f"{cost:.1f}",
                f"{(middle(found, lambda run: run.p99_us) or 0) / 1e3:.1f}",
                str(sum(run.errors for run in found)),
                _memory(found),
            ]
            rows.append([*row, *(_recorded(found) if found[0].received else [""] * 4)])

    header = [
        title,
        "requests/s",
        "CPU µs (× Envoy)",
        "p99 ms",
        "errors",
        "MiB, first and last third",
    ]
    return table([*header, "records", "dropped", "longest wait ms", "settled s"], rows)


def _recorded(runs: Sequence[Run]) -> list[str]:
    records = sum(run.received for run in runs)
    dropped = sum(sum(run.dropped.values()) for run in runs)
    waits = max(run.longest_wait_ms for run in runs)
    settled_s = max(run.settled_s for run in runs)
    return [f"{records:,}", f"{dropped:,}", f"{waits} of {runs[0].max_wait_ms}", f"{settled_s:.0f}"]


def _memory(runs: Sequence[Run]) -> str:
    """Return the most memory in the first and in the last third of a load, of all processes: MiB."""
    thirds = []
    for run in runs:
        sums = [sum(sizes) / 2**20 for sizes in zip(*run.memory_bytes.values(), strict=False)] or [
            0.0
        ]
        third = max(1, len(sums) // 3)
        thirds.append((max(sums[:third]), max(sums[-third:])))

    return f"{median(first for first, _ in thirds):.0f}, {median(last for _, last in thirds):.0f}"


def paced_table(runs: Sequence[Run]) -> str:
    """Return what a request costs at the rates of sidecars: CPU µs of all processes, as multiples
    of Envoy's at the same rate, and the µs that p50 and p99 lie above those of the upstream.
    """
    rates = sorted({run.rate for run in runs})
    rows = []

    for system in systems_of(runs):
        row = [system]
        for rate in rates:
            at_rate = [run for run in runs if run.rate == rate]
            found = [run for run in at_rate if run.system == system]
            cost = middle(found, total_us)
            envoy = middle((run for run in at_rate if run.system == "envoy"), total_us)
            row += [_with_ratios(cost, [envoy]), _added(at_rate, found)]
        rows.append(row)

    header = ["web application, CPU µs per request of all processes (× Envoy)"]
    for rate in rates:
        header += [f"{rate}/s", "added p50, p99 µs"]
    return table(header, rows)


def _added(runs: Sequence[Run], found: Sequence[Run]) -> str:
    """Return by how many µs `found` are slower than going straight to the upstream."""
    direct = [run for run in runs if run.system == "upstream"]
    added = (
        (middle(found, value) or 0) - (middle(direct, value) or 0)
        for value in (lambda run: run.p50_us, lambda run: run.p99_us)
    )
    return ", ".join(f"{us:+.0f}" for us in added)


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
        rows.append(
            [
                system,
                f"{p50:.0f}",
                f"{p99:.0f}",
                f"{p50 - direct_p50:+.0f}",
                f"{p99 - direct_p99:+.0f}",
            ]
        )

    return table(["one connection", "p50 µs", "p99 µs", "added p50", "added p99"], rows)


def flood_table(runs: Sequence[Run]) -> str:
    """What a light client feels beside 64 connections that send as much as goes, as a multiple of
    HAProxy.
    """
    reference = middle([run for run in runs if run.system == "haproxy"], lambda run: run.p99_us)
    rows = []
    for system in systems_of(runs):
        found = [run for run in runs if run.system == system]
        p50 = middle(found, lambda run: run.p50_us) or 0
        p99 = middle(found, lambda run: run.p99_us) or 0
        ratio = f"{p99 / reference:.2f}" if reference else "–"
        rows.append(
            [
                system,
                f"{p50 / 1e3:.2f}",
                f"{p99 / 1e3:.2f}",
                ratio,
                str(sum(run.errors for run in found)),
            ]
        )

    return table(
        [f"{runs[0].rate} requests/s beside a flood", "p50 ms", "p99 ms", "× HAProxy", "errors"],
        rows,
    )


def streams_table(runs: Sequence[Run]) -> str:
    """What event streams cost, and by how much each event came later than without a proxy."""
    direct = [run for run in runs if run.system == "upstream"]
    direct_p50, direct_p99 = (
        middle(direct, value) or 0 for value in (lambda r: r.p50_us, lambda r: r.p99_us)
    )
    rows = [
        ["straight to the upstream", "", "", f"{direct_p50:.0f}", f"{direct_p99:.0f}", "", "", ""]
    ]

    for system in systems_of(runs):
        found = [run for run in runs if run.system == system]
        p50 = middle(found, lambda run: run.p50_us) or 0
        p99 = middle(found, lambda run: run.p99_us) or 0
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

    header = [
        f"{max(run.connections for run in runs)} event streams",
        "CPU µs an event, data plane",
        "collector",
    ]
    return table(
        [*header, "p50 µs", "p99 µs", "added p99", "events a read", "writes an event"], rows
    )


def idle_table(runs: Sequence[Run]) -> str:
    """What each idle connection keeps, of all processes that a request waits for."""
    rows = []
    for system in systems_of(runs):
        cells = [middle(selected(runs, system, name), idle_bytes) for name, _ in _scenarios(runs)]
        rows.append([system, *("–" if cell is None else f"{cell / 1024:.1f}" for cell in cells)])
    return table([f"KiB of each of {runs[0].connections:,} idle connections", *_PROTOCOLS], rows)


def idle_bytes(run: Run) -> float:
    """Bytes of own memory for each idle connection."""
    grown = sum(
        sizes[-1] - sizes[0] for role, sizes in run.memory_bytes.items() if role in DATA_PLANE
    )
    return grown / run.connections


def silent(runs: Iterable[Run]) -> list[str]:
    """Return the peers that were to log and wrote nothing: their figures are too good."""
    logged: dict[str, int] = {}
    for run in runs:
        if run.system in LOGGING and run.kind != IDLE:
            logged[run.system] = logged.get(run.system, 0) + run.logged_bytes
    return [system for system, size in logged.items() if size == 0]
