"""The open ports: metrics and probes for those who have no token, and the supervisor's own probes."""

import gzip
import http.client
import json
import os
import re
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.long import long
from tests.support.ports import free_port
from tests.support.sidelog import Sidelog, eventually


@contextmanager
def opened(
    tmp_path: Path, upstream: str, *arguments: str, drain_delay_s: str = "0"
) -> Iterator[tuple[Sidelog, int, int]]:
    """A sidelog with both; gives it, and the ports of metrics and health."""
    metrics = free_port()
    health = free_port()
    environ = {
        "SIDELOG_ADMIN__METRICS_LISTEN": f"127.0.0.1:{metrics}",
        "SIDELOG_ADMIN__HEALTH_LISTEN": f"127.0.0.1:{health}",
        "SIDELOG_PROXY__LIMITS__DRAIN_DELAY_S": drain_delay_s,
    }
    with Sidelog(tmp_path / "data", upstream, *arguments, environ=environ) as sidelog:
        yield sidelog, metrics, health


def ask(
    port: int, path: str, method: str = "GET", host: str = "prometheus.example"
) -> tuple[int, bytes]:
    """Ask under any name; status and body."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        client.request(method, path, headers={"Host": host})
        answer = client.getresponse()
        return answer.status, answer.read()
    finally:
        client.close()


def ready(port: int) -> tuple[int, dict[str, Any]]:
    """Ask a port for readiness."""
    status, body = ask(port, "/readyz")
    return status, json.loads(body)


@pytest.mark.parametrize("workers", [long("0"), "1"])
def test_the_open_metrics_have_metrics_and_probes_and_nothing_else(
    tmp_path: Path, upstream: str, workers: str
) -> None:
    """Without a token, under any name; what the admin port has beside them is not there, not even
    its existence.
    """
    with opened(tmp_path, upstream, "--workers", workers) as (sidelog, metrics, health):
        urllib.request.urlopen(sidelog.url + "/x").read()
        status, body = ask(metrics, "/metrics")
        assert (status, b"sidelog_requests_total{" in body) == (200, True)
        names = {"sidelog"} if workers == "0" else {"supervisor", "collector", "worker 0"}
        assert (
            set(
                re.findall(
                    r'^process_resident_memory_bytes{process="(.*)"}', body.decode(), re.MULTILINE
                )
            )
            == names
        )
        request = urllib.request.Request(
            f"http://127.0.0.1:{metrics}/metrics", headers={"Accept-Encoding": "gzip"}
        )
        assert b"sidelog_requests_total{" in gzip.decompress(urllib.request.urlopen(request).read())
        assert ask(metrics, "/healthz") == (200, b'{"status":"ok"}')
        assert ready(metrics)[0] == 200

        for path in (
            "/",
            "/login",
            "/docs",
            "/openapi.json",
            "/api/records",
            "/api/status",
            "/v1/requests",
            "/ui/a.js",
        ):
            assert ask(metrics, path)[0] == 404, path
            assert ask(health, path)[0] == 404, path

        assert ask(metrics, "/login", "POST")[0] == 404
        assert ask(health, "/metrics")[0] == 404
        assert ask(health, "/healthz")[0] == 200
        assert ready(health)[0] == 200


def test_the_supervisor_answers_whatever_the_collector_does(tmp_path: Path, upstream: str) -> None:
    """The collector stands still or is gone: alive and ready; no worker: not ready; a stop: alive,
    not ready.
    """
    with opened(tmp_path, upstream, drain_delay_s="1") as (sidelog, _, health):
        (collector,) = sidelog.pids("proxy.collector")
        os.kill(collector, signal.SIGSTOP)
        assert ask(health, "/healthz") == (200, b'{"status": "ok"}')
        assert ready(health)[0] == 200
        os.kill(collector, signal.SIGKILL)
        assert ask(health, "/healthz")[0] == 200
        eventually(
            lambda: sidelog.pids("proxy.collector") not in ([collector], []) and sidelog.is_ready()
        )
        eventually(lambda: ready(health)[1]["collector_ready"])
        killed: set[int] = set()

        for _ in range(3):  # the first restart is at once
            (pid,) = eventually(lambda: set(sidelog.pids("proxy.worker")) - killed)
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)

        status, members = eventually(
            lambda: answer if (answer := ready(health))[0] == 503 else None
        )
        assert (status, members["ready"], members["draining"], members["workers"]) == (
            503,
            False,
            False,
            1,
        )
        eventually(lambda: ready(health)[0] == 200)
        assert sidelog.process is not None

        with closing(http.client.HTTPConnection("127.0.0.1", sidelog.port, timeout=60)) as client:
            client.request("GET", "/slow?s=50")  # so that it drains for as long as it takes to ask
            eventually(lambda: sidelog.is_in_flight("/slow"))
            sidelog.process.send_signal(signal.SIGTERM)
            status, members = eventually(
                lambda: answer if (answer := ready(health))[0] == 503 else None
            )
            assert members["draining"]
            assert ask(health, "/healthz")[0] == 200

        assert sidelog.process.wait(60) == 0
        sidelog.process = None
