"""Plots: well-formed, to scale, for what there is."""

from xml.etree import ElementTree

import msgspec

from bench.macro.plots import LEFT, RIGHT, WIDTH, all_plots, bars
from bench.macro.run import EVENTS, LATENCY, Run

SVG = "{http://www.w3.org/2000/svg}"


def run_of(system: str, cpu_us: dict[str, float]) -> Run:
    """Return a run of getvar."""
    return Run(
        system=system, scenario="getvar", round=0, connections=64, requests=1, errors=0, duration_s=1.0,
        requests_per_s=1.0, p50_us=1, p99_us=2000, cpu_us=cpu_us,
    )  # fmt: skip


def test_bars_are_to_scale_and_names_are_escaped() -> None:
    """The longest takes the whole width; its parts are one behind the other."""
    drawing = ElementTree.fromstring(bars("a < b", "µs", [("n&x", 5.0, 0.0), ("sidelog", 6.0, 4.0)]))
    found = drawing.findall(f"{SVG}rect")
    widths = [float(each.attrib["width"]) for each in found]
    full = WIDTH - LEFT - RIGHT
    assert widths == [full * 0.5, full * 0.6, full * 0.4]
    assert float(found[2].attrib["x"]) == LEFT + full * 0.6
    texts = [each.text for each in drawing.findall(f"{SVG}text")]
    assert texts == ["a < b", "n&x", "5.0 µs", "sidelog", "6.0 + 4.0 µs"]


def test_there_is_a_plot_of_each_kind_of_run() -> None:
    """Of what is sustained, and of streams; none without runs."""
    runs = [run_of("nginx", {"proxy": 10.0}), run_of("sidelog", {"worker": 14.0, "collector": 12.0})]
    streams = [msgspec.structs.replace(run, kind=EVENTS, connections=200) for run in runs]
    found = all_plots([*runs, *streams])
    assert [name for name, _, _ in found] == ["cpu-getvar", "p99-streams"]
    assert all_plots([msgspec.structs.replace(run, kind=LATENCY) for run in runs]) == []
    for _, title, drawing in found:
        assert ElementTree.fromstring(drawing).attrib["aria-label"] == title


def test_a_drawing_of_nothing_has_no_bars() -> None:
    """Nor does it divide by zero."""
    assert bars("none", "µs", []).count("<rect") == 0
    assert 'width="0.0"' in bars("zero", "µs", [("nginx", 0.0, 0.0)])
