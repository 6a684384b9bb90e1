"""The rate that a machine sustains is measured with a real sidelog, of which nothing is left."""

import re
from pathlib import Path

import msgspec
import pytest

from proxy.cli.commands.doctor.rate import available_cores, check_rate
from proxy.settings.model import Settings
from tests.support.long import long
from tests.support.programs import PROGRAM_S


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short load and rest, and time enough on a busy machine."""
    monkeypatch.setattr("proxy.cli.commands.doctor.rate.REST_S", 1.0)
    monkeypatch.setattr("proxy.cli.commands.doctor.rate.LOAD_S", 0.3)
    monkeypatch.setattr("proxy.cli.commands.doctor.rate.TIMEOUT_S", PROGRAM_S)


@pytest.mark.parametrize("workers", [1, long(0)])
def test_the_rate_follows_from_what_a_request_costs(settings: Settings, workers: int) -> None:
    """The finding names both; in one process all of it is the collector's."""
    settings = msgspec.structs.replace(
        settings, proxy=msgspec.structs.replace(settings.proxy, workers=workers)
    )
    (finding,) = check_rate(settings)
    assert finding.state == "ok"
    found = re.fullmatch(
        r"about ([\d,]+) requests/s with everything stored and nothing else running: (\d+) µs of CPU each "
        r"\((\d+) in workers, (\d+) in the collector, over ([\d,]+) requests\); .* core\(s\), "
        rf"{workers} worker\(s\), SQLite in {settings.data_dir}",
        finding.text,
    )
    assert found is not None, finding.text
    rate, all_us, worker_us, collector_us, requests = (
        int(text.replace(",", "")) for text in found.groups()
    )
    assert requests > 0
    assert abs(worker_us + collector_us - all_us) <= 1
    assert (worker_us > 0) == (workers > 0)
    assert rate <= available_cores() * 1e6 / (all_us - 1)
    assert list(Path(settings.data_dir).iterdir()) == []
