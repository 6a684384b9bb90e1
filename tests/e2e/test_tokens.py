"""Tokens of a real sidelog: scoped readers from the settings, and the admin token rotated while it
runs.
"""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from tests.support.programs import PROGRAM_S
from tests.support.sidelog import ROOT, Sidelog, eventually

CONFIG = """
[[routes]]
id = "a"
path = "/a/"
upstream = "{upstream}"
project = "proj_a"

[[routes]]
id = "b"
path = "/"
upstream = "{upstream}"
project = "proj_b"

[[tokens]]
name = "grafana"
token = "env:GRAFANA_TOKEN"
projects = ["proj_a"]

[[admin_hosts]]
name = "proj-b.logs.example"
projects = ["proj_b"]
"""
READER = "reader-token-of-proj-a"


def status_of(sidelog: Sidelog, path: str, token: str, **headers: str) -> int:
    """Ask with a token, or a cookie."""
    url = f"http://127.0.0.1:{sidelog.admin_port}{path}"
    request = urllib.request.Request(
        url, headers={"Authorization": token} | headers if token else headers
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def logged_in(sidelog: Sidelog) -> str:
    """Open a session; answer its cookie."""
    url = f"http://127.0.0.1:{sidelog.admin_port}/login"
    body = json.dumps({"token": sidelog.token}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return str(response.headers["Set-Cookie"].partition(";")[0])


def test_readers_and_rotation(tmp_path: Path, upstream: str) -> None:
    """A reader sees its project and no totals of others; a rotated token counts at once and ends
    sessions.
    """
    config = tmp_path / "sidelog.toml"
    config.write_text(CONFIG.format(upstream=upstream))

    arguments = ("--config", str(config))
    with Sidelog(tmp_path / "data", "", *arguments, environ={"GRAFANA_TOKEN": READER}) as sidelog:
        for path in ("/a/1", "/b/2", "/b/3"):
            with urllib.request.urlopen(sidelog.url + path, timeout=60) as response:
                response.read()
        eventually(lambda: sidelog.api("/v1/requests")["total"] == 3)
        admin = sidelog.token

        url = f"http://127.0.0.1:{sidelog.admin_port}/v1/requests"
        with urllib.request.urlopen(
            urllib.request.Request(url, headers={"Authorization": READER}), timeout=60
        ) as response:
            assert [row["project_id"] for row in json.load(response)["data"]] == ["proj_a"]

        scoped = {"Host": "proj-b.logs.example"}
        assert status_of(sidelog, "/v1/requests?project_id=proj_b", READER) == 403
        assert status_of(sidelog, "/v1/requests", READER, **scoped) == 403
        assert status_of(sidelog, "/v1/requests", admin, **scoped) == 200
        assert status_of(sidelog, "/api/ledger", READER) == 403
        assert READER not in json.dumps(sidelog.api("/api/status"))

        cookie = {"Cookie": logged_in(sidelog)}
        assert status_of(sidelog, "/api/records", "", **cookie) == 200
        command = [
            sys.executable,
            "-m",
            "proxy",
            "token",
            "rotate",
            "--data-dir",
            str(sidelog.data_dir),
        ]
        rotated = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=PROGRAM_S, check=True
        ).stdout
        assert rotated.strip() == sidelog.token != admin
        eventually(lambda: status_of(sidelog, "/api/records", admin) == 401)
        assert status_of(sidelog, "/api/records", sidelog.token) == 200
        assert status_of(sidelog, "/api/records", "", **cookie) == 401
        assert status_of(sidelog, "/v1/requests", READER) == 200
