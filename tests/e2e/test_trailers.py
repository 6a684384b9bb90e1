"""Trailers of both directions: passed on by real processes, and shown wherever a record is."""

import json
import socket
import subprocess
import sys
from pathlib import Path

from tests.support.client import Client
from tests.support.script import Script
from tests.support.sidelog import ROOT, Sidelog
from tests.support.upstream import scripted

REQUEST = (
    b"POST /sum HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\nTrailer: "
    b"Digest\r\nTE: trailers\r\n"
    b"Connection: TE\r\n\r\n4\r\nbody\r\n0\r\nDigest: sha-256=x\r\nHost: evil\r\nX-Api-Key: "
    b"SECRET\r\n\r\n"
)
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc-web\r\nTransfer-Encoding: chunked\r\n"
    b"Trailer: grpc-status\r\n\r\n2\r\nok\r\n0\r\ngrpc-status: 0\r\ngrpc-message: well done\r\n\r\n"
)
SENT = [["Digest", "sha-256=x"], ["Host", "evil"], ["X-Api-Key", "[REDACTED]"]]
RECEIVED = [["grpc-status", "0"], ["grpc-message", "well done"]]


def test_trailers_pass_and_are_shown_everywhere(tmp_path: Path) -> None:
    """API, archive and command line; redacted, and what was not passed on is named."""
    script = Script(RESPONSE)
    with scripted(script) as url, Sidelog(tmp_path / "data", url) as sidelog:
        with Client(socket.create_connection(("127.0.0.1", sidelog.port), timeout=60)) as client:
            client.send(REQUEST)
            answer = client.answer()
        assert answer.trailers == b"grpc-status: 0\r\ngrpc-message: well done\r\n"
        assert script.requests[0].endswith(
            b"\r\n0\r\nDigest: sha-256=x\r\nX-Api-Key: SECRET\r\n\r\n"
        )
        name = answer.field("X-Sidelog-Id") or ""
        record = sidelog.record(name)
        assert (record["request"]["trailers"], record["response"]["trailers"]) == (SENT, RECEIVED)
        assert record["data"] == {"request_trailers_dropped": ["host"]}
        (entry,) = sidelog.api(f"/api/records/{name}/har")["log"]["entries"]
        assert entry["request"]["_trailers"] == [
            {"name": name, "value": value} for name, value in SENT
        ]
        assert entry["response"]["_trailers"] == [
            {"name": name, "value": value} for name, value in RECEIVED
        ]
        printed = subprocess.run(
            [sys.executable, "-m", "proxy", "get", name, "--data-dir", str(sidelog.data_dir)],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert "  trailers\n  Digest: sha-256=x\n  Host: evil\n  X-Api-Key: [REDACTED]\n" in printed
        assert "  trailers\n  grpc-status: 0\n  grpc-message: well done\n" in printed
        assert "SECRET" not in printed + json.dumps([record, entry])
