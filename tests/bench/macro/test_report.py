"""Tables from results: medians, ratios, and the section of a file they replace."""

import msgspec
import pytest

from bench.macro.report import BEGIN, END, Result, markdown, replaced
from bench.macro.run import STREAMS, Run
from bench.macro.tables import cpu_table, latency_table, ledger_table, paced_table, silent, streams_table


def run_of(system: str, cpu_us: dict[str, float], *, number: int = 0, connections: int = 64, received: int = 0) -> Run:
    """Return a run with chosen costs."""
    return Run(
        system=system,
        scenario="get",
        round=number,
        connections=connections,
        requests=1000,
        errors=0,
        duration_s=1.0,
        requests_per_s=1000.0,
        p50_us=100,
        p99_us=300,
        cpu_us=cpu_us,
        memory_bytes={"proxy": 2**20},
        received=received,
        stored=received,
        logged_bytes=1,
    )


def test_ratios_are_taken_to_the_medians_of_nginx_and_haproxy() -> None:
    """A system's cell shows its median and its multiples of both references."""
    runs = [run_of("nginx", {"proxy": cost}, number=n) for n, cost in enumerate((10.0, 90.0, 20.0))]
    runs += [run_of("haproxy", {"proxy": 40.0}), run_of("aiohttp", {"proxy": 100.0})]
    text = cpu_table(runs)
    assert "| nginx | 20.0 (1.00 / 0.50 / –) |" in text
    assert "| aiohttp | 100.0 (5.00 / 2.50 / –) |" in text


def test_sidelog_is_shown_as_data_plane_collector_and_both() -> None:
    """The supervisor belongs to the data plane, the collector has a row of its own."""
    runs = [run_of("nginx", {"proxy": 10.0}), run_of("sidelog", {"worker": 14.0, "supervisor": 1.0, "collector": 12.0})]
    text = cpu_table(runs)
    assert "| sidelog: data plane | 15.0 (1.50 / – / –) |" in text
    assert "| sidelog: collector | 12.0 (1.20 / – / –) |" in text
    assert "| sidelog: both | 27.0 (2.70 / – / –) |" in text


def test_added_latency_is_relative_to_the_upstream() -> None:
    """Latency at one connection shows what the proxy adds."""
    direct = msgspec.structs.replace(run_of("upstream", {}, connections=1), p50_us=15, p99_us=20)
    assert "| nginx | 100 | 300 | +85 | +280 |" in latency_table([direct, run_of("nginx", {}, connections=1)])


def test_only_systems_with_a_ledger_are_in_the_ledger_table() -> None:
    """Peers keep no ledger, so they are no row of it, and without rows there is no table."""
    assert ledger_table([run_of("nginx", {})]) == ""
    text = ledger_table([run_of("sidelog", {}, received=1500), run_of("sidelog", {}, number=1, received=500)])
    assert "| bare GET: sidelog | 2,000 | 2,000 | 0 | 0.00 | yes |" in text


def test_a_result_survives_json_and_names_what_was_skipped() -> None:
    """What was written is what is reported, with the reason why a system is missing."""
    result = Result(
        when="2026-01-01T00:00:00+00:00",
        command="python -m bench.macro",
        machine={"cores": "2"},
        versions={"nginx": "1.22.1"},
        options={},
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


def test_runs_at_a_rate_and_streams_have_tables_of_their_own() -> None:
    """They are not mixed with saturation: a request at a rate costs more, and an event is no request."""
    paced = msgspec.structs.replace(run_of("sidelog", {"worker": 14.0, "collector": 12.0}), rate=5000)
    held = msgspec.structs.replace(
        run_of("nginx", {"proxy": 5.0}, connections=200), scenario=STREAMS, reads=500, writes=1000
    )
    direct = msgspec.structs.replace(held, system="upstream", p99_us=100)
    assert "| 5,000/s: sidelog | 1,000 | 14.0 | 12.0 | 26.0 | 100 | 300 | 0 |" in paced_table([paced])
    assert "| nginx | 5.0 |  | 100 | 300 | +200 | 2.00 | 1.00 |" in streams_table([direct, held])
    result = Result(when="", command="", machine={}, versions={}, options={}, runs=[paced, direct, held])
    text = markdown(result)
    assert cpu_table([paced]) not in text
    assert paced_table([paced]) in text
    assert streams_table([direct, held]) in text


def test_a_peer_without_a_log_is_told() -> None:
    """Whoever was to log and wrote nothing has not done the work it is compared for."""
    quiet = msgspec.structs.replace(run_of("envoy", {"proxy": 10.0}), logged_bytes=0)
    assert silent([quiet, run_of("nginx", {"proxy": 10.0}), run_of("aiohttp", {"proxy": 10.0})]) == ["envoy"]
