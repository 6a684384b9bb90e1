"""The rate that a machine sustains is measured with a real sidelog, of which nothing is left."""

import re
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from proxy.cli.commands.doctor.rate import available_cores, check_rate
from proxy.cli.commands.doctor.web_traffic import PLACE, VARIANTS, web_traffic
from proxy.settings.model import Settings
from tests.support.long import long
from tests.support.programs import PROGRAM_S


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short load and rest, and time enough on a busy machine."""
    monkeypatch.setattr("proxy.cli.commands.doctor.rate.REST_S", 1.0)
    monkeypatch.setattr("proxy.cli.commands.doctor.rate.LOAD_S", 0.3)
    monkeypatch.setattr("proxy.cli.commands.doctor.rate.TIMEOUT_S", PROGRAM_S)


def test_contents_are_those_of_a_web_application() -> None:
    """In the shares that are promised, and none is like another."""
    samples = web_traffic()
    kinds = Counter(
        sample.answer.partition(b"Content-Type: ")[2].split(b"\r")[0] for sample in samples
    )
    assert len(samples) == 20 * VARIANTS
    assert kinds == {
        b"application/json": 15 * VARIANTS,
        b"text/html; charset=utf-8": 3 * VARIANTS,
        b"image/png": 2 * VARIANTS,
    }
    assert sum(bool(sample.body) for sample in samples) == 3 * VARIANTS

    for index, sample in enumerate(samples):
        request = sample.request(7, index)
        assert request != sample.request(8, index)
        assert PLACE not in request + sample.response(7)
        assert (
            request.endswith(b"\r\n\r\n")
            or f"Content-Length: {len(sample.body)}\r\n".encode() in request
        )
        _, _, answered = sample.response(7).partition(b"\r\n\r\n")
        assert len(answered) == sample.answer_bytes


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
        r"\((\d+) in workers, (\d+) in the collector, over ([\d,]+) requests of a web application: "
        r"JSON of 1 and 16 KB, uploads of it, pages, pictures\); .* core\(s\), "
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
