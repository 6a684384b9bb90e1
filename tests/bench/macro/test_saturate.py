"""A minute at saturation: what is told of a run."""

from bench.macro.run import Run
from bench.macro.saturate import markdown, summed


def test_what_was_stored_counts_not_what_was_answered() -> None:
    """Records by the seconds of the load, and drops beside them."""
    run = Run(
        system="sidelog", scenario="", round=0, connections=0, requests=2000, errors=0, duration_s=2.0,
        requests_per_s=1000.0, p50_us=1, p99_us=2, cpu_us={"worker": 20.04, "collector": 30.0},
        memory_bytes={"worker": 30 * 2**20, "collector": 90 * 2**20}, received=2000, stored=1900, dropped=100,
        drained_s=0.254, is_balanced=True,
    )  # fmt: skip
    found = summed(run, "pure", "getvar", 2.0)
    assert (found.stored_per_s, found.cpu_us["worker"]) == (950.0, 20.04)
    assert markdown([found]).splitlines()[-1] == (
        "| getvar, pure | 950 | 2,000 | 1,900 | 100 | 0.25 | yes | 20.0 + 30.0 | 30 + 90 |"
    )
