"""One command, real traffic through it, every exchange stored and queryable."""

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.support.long import long
from tests.support.sidelog import Sidelog, eventually


def post(url: str, body: bytes, content_type: str = "application/json") -> tuple[int, bytes, str]:
    """POST and return status, body and record id."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": content_type})
    with urllib.request.urlopen(request, timeout=60) as response:
        return response.status, response.read(), response.headers["X-Sidelog-Id"]


@pytest.mark.parametrize("arguments", [long(()), ("--workers", "0"), ("--workers", "2")])
def test_an_exchange_is_forwarded_and_stored_with_both_bodies(
    tmp_path: Path, upstream: str, arguments: tuple[str, ...]
) -> None:
    """In every arrangement of processes the record holds what was sent, within a second, redacted."""
    with Sidelog(tmp_path / "data", upstream, *arguments) as sidelog:
        sent = b'{"user": "ada", "password": "hunter2"}'
        status, body, record_id = post(sidelog.url + "/v1/users?token=abc&page=2", sent)
        assert status == 200
        echoed = json.loads(body)
        assert echoed["body"].encode() == sent
        assert echoed["path"] == "/v1/users?token=abc&page=2"
        record = eventually(lambda: _get(sidelog, record_id))
        assert (record["method"], record["path"], record["status"]) == ("POST", "/v1/users", 200)
        assert record["query"] == "token=[REDACTED]&page=2"
        assert record["outcome"] == "ok"
        assert record["request_bytes"] == len(sent)
        assert record["response_bytes"] == len(body)
        text = json.dumps(record)
        assert "hunter2" not in text
        assert "ada" in text
        assert sidelog.settled_ledger()["stored"] == 1


def _get(sidelog: Sidelog, record_id: str) -> dict[str, object] | None:
    try:
        record: dict[str, object] = sidelog.api(f"/api/records/{record_id}")
    except urllib.error.HTTPError:
        return None
    return record
