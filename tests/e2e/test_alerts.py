"""Alerts of a running sidelog whose collector is killed: each message arrives, and doubles have one
id.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.long import long
from tests.support.sidelog import ROOT, Sidelog, await_pids, eventually

WINDOW_S = 90
CANARY = "correct-horse-battery-staple"


class Receiver:
    """A webhook that refuses a third of all calls, and keeps all ids that it was sent."""

    def __init__(self) -> None:
        self.ids: dict[tuple[str, str], set[str]] = defaultdict(set)
        """By path and status: the ids of the messages that were taken."""
        self.calls = 0
        self.bodies: list[bytes] = []
        self.port = 0


@contextmanager
def receiving(seed: int) -> Iterator[Receiver]:
    """Serve a receiver on a thread."""
    receiver = Receiver()
    random_ = random.Random(seed)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.calls += 1
            receiver.bodies.append(body)
            data = json.loads(body)["data"]
            is_taken = random_.random() > 1 / 3
            if is_taken:
                receiver.ids[data["group"] or "", data["status"]].add(self.headers["webhook-id"])
            self.send_response(204 if is_taken else 503)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield receiver
    server.shutdown()
    thread.join()
    server.server_close()


def environment(receiver: Receiver) -> dict[str, str]:
    """The settings of an alert for each path that is asked for."""
    url = f"http://127.0.0.1:{receiver.port}/hook"
    alert = {
        "name": "asked",
        "query": "path:/n/*",
        "by": "path",
        "above": 0,
        "window_s": WINDOW_S,
        "url": url,
    }
    secrets = {
        "name": "said",
        "query": "path:/said",
        "by": "body.password",
        "above": 0,
        "window_s": 600,
        "url": url,
    }
    return {
        "SIDELOG_ALERTS": json.dumps([alert, secrets]),
        "SIDELOG_ADMIN__PUBLIC_URL": "https://logs.example/",
    }


def await_successor(sidelog: Sidelog, dead: int) -> None:
    """Wait until another collector runs, and is ready: what is over before anything looks is not
    seen.
    """
    eventually(lambda: [pid for pid in sidelog.pids("proxy.collector") if pid != dead])
    eventually(sidelog.is_ready)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("kills", "sees_end"), [(1, False), long(100, True)])
def test_no_message_is_lost_over_kills(
    tmp_path: Path, upstream: str, kills: int, sees_end: bool
) -> None:
    """Each path fires once, and once it is over: under one id, however often it was sent."""
    random_ = random.Random(kills)
    with (
        receiving(kills) as receiver,
        Sidelog(tmp_path / "data", upstream, environ=environment(receiver)) as sidelog,
    ):
        paths = []
        for number in range(kills):
            paths.append(f"/n/{number}")
            urllib.request.urlopen(f"{sidelog.url}{paths[-1]}", timeout=60).close()
            time.sleep(2 * random_.random())  # it looks as soon as it runs
            [collector] = await_pids(sidelog, "proxy.collector")
            os.kill(collector, signal.SIGKILL)
            await_successor(sidelog, collector)

        wanted = [
            (path, status)
            for path in paths
            for status in (("firing", "resolved") if sees_end else ("firing",))
        ]
        eventually(lambda: all(receiver.ids[each] for each in wanted), 1200)
        assert {each: len(receiver.ids[each]) for each in wanted} == dict.fromkeys(wanted, 1)
        shown = eventually(lambda: sidelog.api("/api/alerts"))
        assert shown["alerts"][0]["name"] == "asked"


def test_a_secret_is_in_no_message(tmp_path: Path, upstream: str) -> None:
    """What was redacted before it was stored is the same in an alert that is apart by it, in its
    state and page.
    """
    with (
        receiving(0) as receiver,
        Sidelog(tmp_path / "data", upstream, environ=environment(receiver)) as sidelog,
    ):
        body = json.dumps({"password": CANARY}).encode()
        kind = {"Content-Type": "application/json"}
        urllib.request.urlopen(
            urllib.request.Request(f"{sidelog.url}/said", body, kind), timeout=60
        ).close()
        eventually(lambda: [key for key in receiver.ids if key[1] == "firing"])
        [(group, _)] = [key for key in receiver.ids if key[1] == "firing"]
        assert group.startswith("[REDACTED")
        assert CANARY.encode() not in b"".join(receiver.bodies)
        assert CANARY not in json.dumps(sidelog.api("/api/alerts"))


def test_an_alert_is_tested_and_silenced_from_the_command_line(
    tmp_path: Path, upstream: str
) -> None:
    """With exit codes for scripts; the webhook is called by sidelog itself."""
    with (
        receiving(0) as receiver,
        Sidelog(tmp_path / "data", upstream, environ=environment(receiver)) as sidelog,
    ):

        def run(*arguments: str) -> tuple[int, str]:
            command = [
                sys.executable,
                "-m",
                "proxy",
                "alerts",
                *arguments,
                "--data-dir",
                str(sidelog.data_dir),
            ]
            done = subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
            )
            return done.returncode, done.stdout + done.stderr

        codes = {run("test", "asked")[0] for _ in range(6)}
        assert codes <= {0, 1}
        assert b'"alert.test"' in receiver.bodies[0]
        assert json.loads(receiver.bodies[0])["data"]["link"].startswith(
            "https://logs.example/requests?filter=path"
        )
        page = urllib.request.Request(
            f"{sidelog.admin_url}/requests", headers={"Host": "logs.example"}
        )
        with urllib.request.urlopen(page, timeout=60) as response:
            assert response.status == 200
        assert run("silence", "asked", "--for", "1m30s") == (0, "asked: silenced for 90 s\n")
        code, said = run("silence", "asked", "--for", "soon")
        assert (code, "got 'soon'" in said, "such as '30s' or '1h30m'" in said) == (2, True, True)
        code, said = run("list")
        assert (code, said.split()[:4]) == (0, ["name", "state", "figure", "search"])
        assert ", silent" in said
        assert "count above 0 over" in said
        assert sidelog.api("/api/alerts")["alerts"][0]["silenced_until_us"] > 0
        code, said = run("test", "nothing")
        assert code == 1
        assert "there is no alert 'nothing' on this sidecar: " in said
        metrics = urllib.request.Request(
            f"{sidelog.admin_url}/metrics", headers={"Authorization": f"Bearer {sidelog.token}"}
        )
        with urllib.request.urlopen(metrics, timeout=60) as response:
            assert b'sidelog_alerts_firing{alert="asked"} 0.0' in response.read()
