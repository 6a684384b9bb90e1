"""Whose request it was, and for which URL, as it shows in everything that is kept and sent on."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support.sidelog import ROOT, Sidelog, eventually
from tests.support.wide import wide

TRUSTING = {"SIDELOG_PROXY__TRUSTED_PROXIES": '["127.0.0.1"]'}


def ask(url: str, **headers: str) -> tuple[str, dict[str, str]]:
    """Ask the echoing service; the id of the record, and the fields that it got."""
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    with urllib.request.urlopen(request, timeout=60) as response:
        seen = json.load(response)["headers"]
        return response.headers["X-Sidelog-Id"], {name.lower(): value for name, value in seen}


@pytest.mark.parametrize("workers", [wide("0"), "1"])
def test_a_socket_for_both_families_shows_addresses_of_ipv4_as_they_are(
    tmp_path: Path, upstream: str, workers: str
) -> None:
    """Record, access log, top and upstream have 127.0.0.1; a trusted proxy is found by it; mapped entries are plain."""
    out = tmp_path / "out"
    environ = {**TRUSTING, "SIDELOG_LOG__ACCESS": "json"}
    sidelog = Sidelog(tmp_path / "data", upstream, "--workers", workers, environ=environ)
    sidelog.use_upstream(upstream, "[::]")
    with out.open("wb") as file:
        sidelog.stdout = file.fileno()
        with sidelog:
            name, seen = ask(sidelog.url + "/own")
            assert seen["x-forwarded-for"] == "127.0.0.1"
            assert sidelog.record(name)["client_ip"] == "127.0.0.1"
            name, seen = ask(sidelog.url + "/proxied", X_Forwarded_For="::ffff:203.0.113.7")
            assert seen["x-forwarded-for"] == "203.0.113.7, 127.0.0.1"
            assert sidelog.record(name)["client_ip"] == "203.0.113.7"
            eventually(lambda: "/proxied" in out.read_text())
            lines = [json.loads(line) for line in out.read_text().splitlines()]
            assert [line["client_ip"] for line in lines] == ["127.0.0.1", "203.0.113.7"]
            rows = sidelog.api("/api/top?by=client_ip")["rows"]
    assert {row["value"] for row in rows} == {"127.0.0.1", "203.0.113.7"}
