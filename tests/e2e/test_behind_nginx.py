"""nginx in front of sidelog, configured as the guide says."""

import re
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_port
from tests.support.programs import find
from tests.support.sidelog import ROOT, Sidelog, eventually

_GUIDE = ROOT / "docs/guides/behind-a-proxy.md"
_AROUND = """
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{}}
http {{
    log_format ids '$request_id';
    access_log {directory}/access.log ids;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
{guide}
}}
"""


@contextmanager
def _nginx(directory: Path, sidelog_port: int) -> Iterator[str]:
    """Run nginx with the block of the guide; yields its address."""
    program, port = find("nginx"), free_port()
    found = re.search(r"^```nginx\n(.*?)^```", _GUIDE.read_text(), re.M | re.S)
    assert found is not None
    guide = (
        found[1]
        .replace("127.0.0.1:8080", f"127.0.0.1:{sidelog_port}")
        .replace("listen 80;", f"listen 127.0.0.1:{port};")
    )
    (directory / "nginx.conf").write_text(_AROUND.format(directory=directory, guide=guide))
    command = [program, "-p", str(directory), "-c", str(directory / "nginx.conf"), "-e", str(directory / "error.log")]
    process = subprocess.Popen(command)
    try:
        eventually((directory / "nginx.pid").exists, 30)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def test_nginx_and_record_name_each_other(tmp_path: Path, upstream: str) -> None:
    """The record has the client's address and the id that nginx logs; streams and bodies pass."""
    with (
        Sidelog(tmp_path / "data", upstream, environ={"SIDELOG_PROXY__TRUSTED_PROXIES": '["127.0.0.1"]'}) as sidelog,
        _nginx(tmp_path, sidelog.port) as front,
    ):
        request = urllib.request.Request(f"{front}/through", headers={"X-Forwarded-For": "198.51.100.7"})
        with urllib.request.urlopen(request, timeout=60) as response:
            response.read()
            record = sidelog.record(response.headers["X-Sidelog-Id"])
        logged = eventually(lambda: (tmp_path / "access.log").read_text().split())
        assert [record["request_id"]] == logged
        assert record["client_ip"] == "198.51.100.7"
        assert record["path"] == "/through"
