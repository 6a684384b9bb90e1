"""Tables from results: medians, ratios, and the section of a file they replace."""

from pathlib import Path

import msgspec
import pytest

from bench.macro.plan import Session
from bench.macro.report import (
    BEGIN,
    END,
    PACED_BEGIN,
    PACED_END,
    Result,
    markdown,
    replaced,
    write,
)
from bench.macro.run import EVENTS, FLOOD, IDLE, LATENCY, PACED, Run, faults
from bench.macro.tables import (
    cpu_table,
    flood_table,
    idle_table,
    latency_table,
    share_table,
    silent,
    streams_table,
)


def run_of(system: str, cpu_us: dict[str, float], *, number: int = 0, received: int = 0) -> Run:
    """Return a run with chosen costs."""
    return Run(
        system=system,
        scenario="get",
        round=number,
        connections=64,
        requests=1000,
        errors=0,
        duration_s=1.0,
        requests_per_s=1000.0,
        p50_us=100,
        p99_us=300,
        cpu_us=cpu_us,
        memory_bytes={"proxy": [2**20, 2**21, 3 * 2**20]},
        received=received,
        stored=received,
        logged_bytes=1,
    )


def test_ratios_are_taken_to_the_medians_of_nginx_and_haproxy() -> None:
    """A system's cell shows its median and its multiples of both references."""
    runs = [run_of("nginx", {"proxy": cost}, number=n) for n, cost in enumerate((10.0, 90.0, 20.0))]
    runs += [run_of("haproxy", {"proxy": 40.0}), run_of("caddy", {"proxy": 100.0})]
    text = cpu_table(runs)
    assert "| nginx | 20.0 (1.00 / 0.50 / –) |" in text
    assert "| caddy | 100.0 (5.00 / 2.50 / –) |" in text


def test_sidelog_is_shown_as_data_plane_collector_and_both() -> None:
    """The supervisor belongs to the data plane, the collector has a row of its own."""
    runs = [
        run_of("nginx", {"proxy": 10.0}),
        run_of("sidelog", {"worker": 14.0, "supervisor": 1.0, "collector": 12.0}),
    ]
    text = cpu_table(runs)
    assert "| sidelog: data plane | 15.0 (1.50 / – / –) |" in text
    assert "| sidelog: collector | 12.0 (1.20 / – / –) |" in text
    assert "| sidelog: both | 27.0 (2.70 / – / –) |" in text


def test_added_latency_is_relative_to_the_upstream() -> None:
    """Latency at one connection shows what the proxy adds."""
    direct = msgspec.structs.replace(run_of("upstream", {}), p50_us=15, p99_us=20)
    assert "| nginx | 100 | 300 | +85 | +280 |" in latency_table([direct, run_of("nginx", {})])


def test_records_and_waits_are_shown_of_systems_that_keep_records() -> None:
    """Peers have empty cells there; the memory is the most of the first and of the last third."""
    ours = msgspec.structs.replace(
        run_of("sidelog", {"worker": 20.0, "collector": 40.0}, received=1500),
        longest_wait_ms=80,
        max_wait_ms=100,
    )
    text = share_table("one core", [run_of("envoy", {"proxy": 50.0}), ours])
    assert "| bare GET: envoy | 1,000 | 50.0 (1.00) | 0.3 | 0 | 1, 3 |  |  |  |  |" in text
    assert (
        "| bare GET: sidelog | 1,000 | 60.0 (1.20) | 0.3 | 0 | 1, 3 | 1,500 | 0 | 80 of 100 | 0 |"
        in text
    )


def test_a_light_client_beside_a_flood_is_compared_with_haproxy() -> None:
    """The ratio is that of the p99."""
    runs = [run_of("haproxy", {}), msgspec.structs.replace(run_of("sidelog", {}), p99_us=600)]
    assert "| sidelog | 0.10 | 0.60 | 2.00 | 0 |" in flood_table(runs)


def test_idle_connections_are_shown_by_protocol() -> None:
    """What the data plane grew by, for each connection; the collector has none of them."""
    memory = {"worker": [2**20, 2**20 + 64 * 4096], "collector": [0, 2**20]}
    http1 = msgspec.structs.replace(
        run_of("sidelog", {}), kind=IDLE, scenario="getvar", memory_bytes=memory, logged_bytes=0
    )
    http2 = msgspec.structs.replace(
        http1, scenario="h2get-m1", memory_bytes={"worker": [0, 64 * 2048]}
    )
    assert "| sidelog | 4.0 | 2.0 |" in idle_table([http1, http2])
    assert silent([msgspec.structs.replace(http1, system="nginx")]) == []


def test_a_failed_request_a_drop_a_longer_wait_and_an_unbalanced_ledger_are_faults() -> None:
    """Each is named with its figures; a run without them has none."""
    run = run_of("sidelog", {}, received=1500)
    assert faults(run) == []
    bad = msgspec.structs.replace(
        run,
        errors=3,
        dropped={"ring_full": 1200},
        longest_wait_ms=140,
        max_wait_ms=100,
        is_balanced=False,
    )
    where = "sidelog under get (sustained, core)"
    assert faults(bad) == [
        f"{where} failed 3 of 1,000 requests",
        f"{where} dropped 1,200 of 1,500 records: ring_full 1,200",
        f"{where} has a ledger that does not add up",
        f"{where} let a request wait 140 ms for recording, of 100 allowed",
    ]


def test_a_sidelog_that_was_not_measured_to_the_end_is_a_fault(tmp_path: Path) -> None:
    """A peer that is missing is none."""
    session = Session(tmp_path, systems=("haproxy", "sidelog"), trees=(), seconds=1, peer_seconds=1)
    session.skipped = {
        "haproxy under mix (sustained, core)": "is not installed",
        "sidelog under mix": "is still at work",
    }
    assert session.faults == ["sidelog under mix: is still at work"]


def test_a_result_survives_json_and_names_what_was_skipped() -> None:
    """What was written is what is reported, with the reason why a system is missing."""
    result = Result(
        when="2026-01-01T00:00:00+00:00",
        command="python -m bench.macro",
        machine={"cores": "2"},
        versions={"nginx": "1.22.1"},
        runs=[run_of("nginx", {"proxy": 10.0})],
        skipped={"haproxy": "haproxy is not installed"},
    )
    again = msgspec.json.decode(msgspec.json.encode(result), type=Result)
    assert again == result
    assert markdown(again).endswith("Not measured: haproxy: haproxy is not installed")


def test_the_section_between_the_markers_is_replaced() -> None:
    """Text around the markers stays; replacing twice gives the same file."""
    text = f"above\n{BEGIN}\nold\n{END}\nbelow\n"
    once = replaced(text, "| new |")
    assert once == f"above\n{BEGIN}\n\n| new |\n\n{END}\nbelow\n"
    assert replaced(once, "| new |") == once


def test_a_file_without_markers_is_refused() -> None:
    """Nothing is written into a file that has no place for it."""
    with pytest.raises(ValueError, match="markers"):
        replaced("no markers", "| new |")


def test_kinds_and_shares_have_tables_of_their_own() -> None:
    """They are not mixed: under a quota a request costs something else, and an event is no request."""
    core = run_of("sidelog", {"worker": 14.0, "collector": 12.0})
    direct = run_of("upstream", {})
    quota = msgspec.structs.replace(core, share="quota")
    flood = msgspec.structs.replace(core, kind=FLOOD, rate=100)
    single = [msgspec.structs.replace(run, kind=LATENCY) for run in (direct, core)]
    held = msgspec.structs.replace(
        run_of("nginx", {"proxy": 5.0}), kind=EVENTS, reads=500, writes=1000
    )
    streams = [msgspec.structs.replace(direct, kind=EVENTS, p99_us=100), held]
    assert "| nginx | 5.0 |  | 100 | 300 | +200 | 2.00 | 1.00 |" in streams_table(streams)
    result = Result(
        when="", command="", machine={}, versions={}, runs=[core, quota, flood, *single, *streams]
    )
    tables = [cpu_table([core]), share_table("a quota of one core", [quota]), latency_table(single)]
    tables += [flood_table([flood]), streams_table(streams), share_table("one core", [core])]
    assert markdown(result).split("\n\n")[2:] == tables


def test_a_peer_without_a_log_is_told() -> None:
    """Whoever was to log and wrote nothing has not done the work it is compared for."""
    quiet = msgspec.structs.replace(run_of("envoy", {"proxy": 10.0}), logged_bytes=0)
    assert silent(
        [quiet, run_of("nginx", {"proxy": 10.0}), run_of("sidelog", {"worker": 10.0})]
    ) == ["envoy"]


def test_the_table_of_ordinary_rates_has_its_own_place(tmp_path: Path) -> None:
    """A run of both kinds fills both places, and a run of one leaves the other as it was."""
    page = tmp_path / "README.md"
    page.write_text(f"first {PACED_BEGIN}a{PACED_END} then {BEGIN}b{END}")
    paced = msgspec.structs.replace(run_of("envoy", {"proxy": 10.0}), kind=PACED, rate=100)
    both = Result(when="now", command="bench", machine={}, versions={}, runs=[paced])
    write([both], page)
    assert page.read_text().endswith(f"then {BEGIN}b{END}")
    assert "| envoy | 10.0 (1.00)" in page.read_text().partition(PACED_END)[0]

    sustained = msgspec.structs.replace(both, runs=[run_of("nginx", {"proxy": 20.0})])
    write([sustained], page)
    before, _, after = page.read_text().partition(PACED_END)
    assert "| envoy | 10.0 (1.00)" in before
    assert "| nginx | 20.0" in after
