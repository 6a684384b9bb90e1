"""What requests ask not to be recorded is nowhere in the store, and they are counted all the same."""

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.support.sidelog import Sidelog


def post(sidelog: Sidelog, level: str) -> str:
    """POST what nobody else sends, asking for a level; the record's id."""
    body = json.dumps({"said": f"{level}-in-the-body"}).encode()
    headers = {
        "X-Record": level,
        "X-Own": f"{level}-in-the-head",
        "Content-Type": "application/json",
    }
    request = urllib.request.Request(f"{sidelog.url}/x", data=body, headers=headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        assert f"{level}-in-the-body" in response.read().decode()
        return str(response.headers["X-Sidelog-Id"])


def test_each_level_keeps_nothing_above_it(tmp_path: Path, upstream: str) -> None:
    """`none` leaves no record, `meta` no heads, `headers` no bodies; metrics count all of them."""
    environ = {"SIDELOG_CAPTURE__OPT_OUT_HEADER": "X-Record"}
    with Sidelog(tmp_path / "data", upstream, environ=environ) as sidelog:
        ids = {level: post(sidelog, level) for level in ("none", "meta", "headers", "body")}
        assert sidelog.settled_ledger()["stored"] == 3
        texts = {
            level: json.dumps(sidelog.record(ids[level])) for level in ("meta", "headers", "body")
        }
        with pytest.raises(urllib.error.HTTPError, match="404"):
            sidelog.api(f"/api/records/{ids['none']}")
        with urllib.request.urlopen(f"{sidelog.admin_url}/metrics") as response:
            (line,) = [line for line in response if line.startswith(b"sidelog_requests_total{")]

    kept = {
        level: [place for place in ("head", "body") if f"{level}-in-the-{place}" in text]
        for level, text in texts.items()
    }
    assert kept == {"meta": [], "headers": ["head"], "body": ["head", "body"]}
    assert line.endswith(b" 4.0\n")
