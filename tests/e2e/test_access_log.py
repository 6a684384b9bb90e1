"""The access log of whole runs: a line per exchange on stdout, whoever stores them."""

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.support.long import long
from tests.support.sidelog import Sidelog, eventually


def get(sidelog: Sidelog, target: str) -> int:
    """GET through the data port; the status."""
    request = urllib.request.Request(sidelog.url + target, headers={"User-Agent": "probe"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            response.read()
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.read()
        return error.code


@pytest.mark.parametrize("workers", [long("0"), "2"])
def test_every_exchange_is_one_line_on_stdout(tmp_path: Path, upstream: str, workers: str) -> None:
    """JSON lines with the ids of the records, redacted, and nothing else on stdout."""
    out = tmp_path / "out"
    sidelog = Sidelog(
        tmp_path / "data", upstream, "--workers", workers, environ={"SIDELOG_LOG__ACCESS": "json"}
    )
    with out.open("wb") as file:
        sidelog.stdout = file.fileno()
        with sidelog:
            statuses = [get(sidelog, f"/{number}?token=s3cret-value") for number in range(5)]
            statuses.append(get(sidelog, "/status/404"))
            eventually(lambda: out.read_bytes().count(b"\n") == 6)
            sidelog.settled_ledger()
            records = sidelog.records()
            with urllib.request.urlopen(sidelog.admin_url + "/metrics") as response:
                assert b"sidelog_access_log_dropped_total 0.0" in response.read()

    lines = sorted(
        (json.loads(line) for line in out.read_text().splitlines()), key=lambda line: line["time"]
    )
    assert [line["status"] for line in lines] == statuses == [200] * 5 + [404]
    assert {line["id"] for line in lines} == {record["id"] for record in records}
    assert (lines[0]["path"], lines[0]["query"], lines[0]["user_agent"]) == (
        "/0",
        "token=[REDACTED]",
        "probe",
    )
    assert "s3cret" not in out.read_text()
