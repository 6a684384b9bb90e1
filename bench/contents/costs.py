"""What contents cost: figures of one run, and their table. Pure."""

from collections.abc import Sequence
from typing import Final

import msgspec

from bench.contents.kind import Kind
from bench.macro.tables import table

BEGIN: Final = "<!-- contents: begin -->"
END: Final = "<!-- contents: end -->"
MEASURED_BYTES: Final = 2 << 20
"""Of a kind, about, where not so many records are asked for: some cells of the index of words."""
LEAST_RECORDS: Final = 64
MOST_RECORDS: Final = 2000


class Cost(msgspec.Struct, kw_only=True, frozen=True):
    """What one kind costs one system."""

    system: str
    kind: str
    records: int
    us: float
    """CPU µs a record of sidelog's collector, all work included; of a peer: a request that carries
    it.
    """
    us_kib: float | None = None
    """sidelog: µs a KiB of the content, beyond an exchange without one."""


class Found(msgspec.Struct, kw_only=True, frozen=True):
    """The content of one file of results."""

    when: str
    """UTC, ISO 8601."""
    command: str
    machine: dict[str, str]
    versions: dict[str, str]
    load_average: tuple[float, float, float]
    """Of the machine before."""
    empty_us: dict[str, float]
    """By system of sidelog's: CPU µs of an exchange whose answer has no body."""
    costs: list[Cost]
    generated: list[str] = []
    """Sources that were not installed, so that bodies of these kinds are generated."""
    skipped: dict[str, str] = {}
    """Peer -> why it was not measured."""


def records_of(kind: Kind) -> int:
    """Return how many records of a kind are measured."""
    return max(LEAST_RECORDS, min(MOST_RECORDS, MEASURED_BYTES // kind.size))


def per_kib(us: float, empty_us: float, kind: Kind) -> float:
    """Return the µs a KiB of a content, beyond an exchange without one."""
    return (us - empty_us) * 1024 / kind.size


def markdown(found: Found, kinds: Sequence[Kind]) -> str:
    """Return the table, with where it comes from."""
    described = {**found.machine, "load average before": f"{found.load_average[0]:.1f}"}
    parts = [
        f"{found.when} · {', '.join(f'{key} {value}' for key, value in described.items())}",
        f"Versions: {', '.join(f'{key} {value}' for key, value in found.versions.items())}. "
        f"`{found.command}`",
        costs_table(found, kinds),
        "An exchange without a body: "
        f"{', '.join(f'{name} {us:.0f} µs' for name, us in found.empty_us.items())}.",
        f"Not installed, so generated: {', '.join(found.generated)}." if found.generated else "",
        "\n".join(f"Not measured: {name}: {why}" for name, why in found.skipped.items()),
    ]
    return "\n\n".join(part for part in parts if part)


def costs_table(found: Found, kinds: Sequence[Kind]) -> str:
    """Return a line for each kind that was measured: each sidelog, and as multiples of each peer."""
    by_place = {(cost.system, cost.kind): cost for cost in found.costs}
    peers = [
        name
        for name in dict.fromkeys(cost.system for cost in found.costs)
        if name not in found.empty_us
    ]
    header = ["one record, CPU of the collector", "KiB"]
    for system in found.empty_us:
        header += [f"{system}, µs", "µs a KiB", *(f"× {peer}" for peer in peers)]
    rows = []
    for kind in kinds:
        cells = [kind.title, f"{kind.size / 1024:.0f}"]
        for system in found.empty_us:
            cells += _cells(kind, system, peers, by_place)
        if (next(iter(found.empty_us)), kind.name) in by_place:
            rows.append(cells)

    return table(header, rows)


def _cells(
    kind: Kind, system: str, peers: Sequence[str], by_place: dict[tuple[str, str], Cost]
) -> list[str]:
    cost = by_place.get((system, kind.name))
    if cost is None:
        return ["–"] * (2 + len(peers))

    cells = [f"{cost.us:,.0f}", f"{cost.us_kib:,.1f}"]
    for peer in peers:
        theirs = by_place.get((peer, kind.name))
        cells.append(f"{cost.us / theirs.us:,.1f}" if theirs else "–")
    return cells
