"""How soon sidelog serves: what is told of some starts."""

from bench.macro.start import Start, markdown


def test_the_median_and_the_slowest_start_are_told_with_memory_by_process() -> None:
    """Supervisor, worker and collector in that order."""
    sizes = {"supervisor": 12 * 2**20, "worker": 40 * 2**20, "collector": 90 * 2**20}
    found = Start(
        build="pure",
        first_answer_s=[0.5, 0.4, 0.9],
        memory_bytes=sizes,
        loaded_bytes={**sizes, "worker": 41 * 2**20},
        load_s=10.0,
    )
    assert markdown([found]).splitlines()[-1] == "| pure | 0.50 | 0.90 | 12 + 40 + 90 | 12 + 41 + 90 |"
