"""What is read from the load generator, and the scenarios it is given."""

import pytest

from bench.macro.load import LoadFailed, parse
from bench.macro.scenarios import SCENARIOS, chosen, json_text


def test_the_result_line_is_found_among_other_output() -> None:
    """Times are converted to seconds, the rate follows from requests and duration."""
    result = parse(
        'Running 2s test\nRESULT {"requests":500,"duration_us":2000000,"bytes":9,"p50_us":7,"p99_us":8,"max_us":9,'
        '"errors":1}\nRequests/sec: 250\n'
    )
    assert (result.requests, result.duration_s, result.requests_per_s) == (500, 2.0, 250.0)
    assert (result.p50_us, result.p99_us, result.max_us, result.errors) == (7, 8, 9, 1)


def test_output_without_a_result_is_an_error() -> None:
    """A run that did not finish is not a run without requests."""
    with pytest.raises(LoadFailed, match="no result line"):
        parse("unable to connect")


@pytest.mark.parametrize("size_bytes", [470, 1024, 16384])
def test_bodies_have_exactly_the_size_they_are_called_after(size_bytes: int) -> None:
    """The figures of the tables name sizes, so sizes must be true."""
    assert len(json_text(size_bytes).encode()) == size_bytes


def test_scenarios_are_chosen_by_name() -> None:
    """One, all, or an error that names the known ones."""
    assert [scenario.name for scenario in chosen("get10")] == ["get10"]
    assert chosen("all") == SCENARIOS
    with pytest.raises(ValueError, match="known: getvar, postvar, mix, get, get10"):
        chosen("nothing")
