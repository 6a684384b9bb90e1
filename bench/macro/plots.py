"""Plots of runs as SVG, legible on light and dark pages: bars that lie, one row per system. Pure."""

from collections.abc import Callable, Sequence
from html import escape
from typing import Final

from bench.macro.processor import CORE
from bench.macro.run import EVENTS, SUSTAINED, Run
from bench.macro.tables import collector_us, data_plane_us, middle, systems_of

WIDTH: Final = 760
LEFT: Final = 150
"""Where bars begin: names stand before."""
RIGHT: Final = 110
"""For the figures behind the bars."""
ROW: Final = 26
BAR: Final = 16
HEAD: Final = 52
STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #57606a }
.title { font-weight: 600; font-size: 14px }
.peer { fill: #8c959f }
.plane { fill: #2f81f7 }
.collector { fill: #9ec5f7 }
@media (prefers-color-scheme: dark) { text { fill: #c9d1d9 } .peer { fill: #6e7681 } .collector { fill: #3d5a80 } }
"""

Bar = tuple[str, float, float]
"""Name, first part, second part behind it."""


def bars(title: str, unit: str, rows: Sequence[Bar]) -> str:
    """Return a plot of a bar per row, its parts one behind the other, with their sum."""
    most = max((first + second for _, first, second in rows), default=0.0) or 1.0
    scale = (WIDTH - LEFT - RIGHT) / most
    height = HEAD + ROW * len(rows) + 8
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        f' role="img" aria-label="{escape(title)}">',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="8" y="22">{escape(title)}</text>',
    ]
    for number, (name, first, second) in enumerate(rows):
        y = HEAD + ROW * number
        kind = "plane" if name.startswith("sidelog") else "peer"
        figure = f"{first:,.1f} + {second:,.1f} {unit}" if second else f"{first:,.1f} {unit}"
        lines.append(f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>')
        lines.append(f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{first * scale:.1f}" height="{BAR}"/>')
        if second:
            x = LEFT + first * scale
            lines.append(f'<rect class="collector" x="{x:.1f}" y="{y}" width="{second * scale:.1f}" height="{BAR}"/>')
        end = LEFT + (first + second) * scale + 6
        lines.append(f'<text x="{end:.1f}" y="{y + 13}">{escape(figure)}</text>')
    return "\n".join([*lines, "</svg>", ""])


def _rows(runs: Sequence[Run], first: Callable[[Run], float], second: Callable[[Run], float] | None) -> list[Bar]:
    rows = []
    for system in systems_of(runs):
        found = [run for run in runs if run.system == system]
        rows.append((system, middle(found, first) or 0.0, (middle(found, second) or 0.0) if second else 0.0))
    return rows


def all_plots(runs: Sequence[Run]) -> list[tuple[str, str, str]]:
    """Return name, title and drawing of each plot that there are runs for."""
    found = []
    loaded = [run for run in runs if run.kind == SUSTAINED and run.share == CORE]
    for scenario, what in (("getvar", "GET, all different"), ("postvar", "POST 1 KB, all different")):
        chosen = [run for run in loaded if run.scenario == scenario]
        if chosen:
            title = f"CPU per request, {what} (sidelog: data plane + collector)"
            found.append((f"cpu-{scenario}", title, bars(title, "µs", _rows(chosen, data_plane_us, collector_us))))
    chosen = [run for run in runs if run.kind == EVENTS]
    if chosen:
        title = f"Delay of an event p99, {chosen[0].connections} streams"
        found.append(("p99-streams", title, bars(title, "ms", _rows(chosen, lambda run: run.p99_us / 1e3, None))))
    return found
