"""Whose request it was, and for which URL, as it shows in everything that is kept and sent on."""

import http.client
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.long import long
from tests.support.sidelog import ROOT, Sidelog, eventually
from tests.support.upstream import running

BEHIND_CDN = {
    "X_Forwarded_For": "203.0.113.7",
    "X_Forwarded_Proto": "https",
    "X_Forwarded_Host": "shop.example",
}
TRUSTING = {"SIDELOG_PROXY__TRUSTED_PROXIES": '["127.0.0.1"]'}


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, upstream: str) -> Iterator[Sidelog]:
    """A sidelog that trusts a proxy on this machine."""
    with Sidelog(tmp_path_factory.mktemp("behind") / "data", upstream, environ=TRUSTING) as sidelog:
        yield sidelog


def ask(url: str, **headers: str) -> tuple[str, dict[str, str]]:
    """Ask the echoing service; the id of the record, and the fields that it got."""
    with urllib.request.urlopen(_request(url, headers), timeout=60) as response:
        seen = json.load(response)["headers"]
        return response.headers["X-Sidelog-Id"], {name.lower(): value for name, value in seen}


def _request(url: str, headers: dict[str, str] = BEHIND_CDN) -> urllib.request.Request:
    return urllib.request.Request(
        url, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


@pytest.mark.parametrize("workers", [long("0"), "1"])
def test_a_socket_for_both_families_shows_addresses_of_ipv4_as_they_are(
    tmp_path: Path, upstream: str, workers: str
) -> None:
    """Record, access log, top and upstream have 127.0.0.1; a trusted proxy is found by it; mapped
    entries are plain.
    """
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


@pytest.mark.parametrize(
    "headers",
    [
        BEHIND_CDN,
        BEHIND_CDN
        | {"X_Forwarded_Proto": "HTTPS, http", "X_Forwarded_Host": "shop.example, 10.0.0.3"},
        BEHIND_CDN | {"X_Forwarded_Proto": "wss"},
        {"Forwarded": 'for=203.0.113.7;proto=https;host="shop.example"'},
    ],
)
def test_a_record_has_the_url_that_the_client_asked_for(
    behind: Sidelog, headers: dict[str, str]
) -> None:
    """What a trusted proxy says of scheme and host is in record, HAR and curl, and found by
    `host:`.
    """
    name, _ = ask(behind.url + "/paid?n=1", **headers)
    record = behind.record(name)
    assert (record["scheme"], record["host"], record["client_ip"]) == (
        "https",
        "shop.example",
        "203.0.113.7",
    )
    [entry] = behind.api(f"/api/records/{name}/har")["log"]["entries"]
    assert entry["request"]["url"] == "https://shop.example/paid?n=1"
    assert name in [found["id"] for found in behind.records("query=host:shop.example")]
    command = [
        sys.executable,
        "-m",
        "proxy",
        "get",
        name,
        "--curl",
        "--url",
        behind.admin_url,
        "--token",
        behind.token,
    ]
    assert (
        "https://shop.example/paid?n=1"
        in subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout
    )


async def _insist_on_tls(request: web.Request) -> web.Response:
    """As Django's SECURE_SSL_REDIRECT does."""
    if request.headers["X-Forwarded-Proto"] == "https":
        return web.Response(text="secure")
    return web.Response(
        status=301, headers={"Location": f"https://{request.headers['Host']}{request.rel_url}"}
    )


def test_a_service_that_redirects_without_end_is_explained_once(tmp_path: Path) -> None:
    """Log, event and doctor name the peer and the setting; with it the service answers, and doctor
    is content.
    """
    app = web.Application()
    app.router.add_get("/{tail:.*}", _insist_on_tls)

    def doctor(*arguments: str) -> str:
        command = [
            sys.executable,
            "-m",
            "proxy",
            "doctor",
            "--data-dir",
            str(sidelog.data_dir),
            *arguments,
        ]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, env=sidelog.environ
        ).stdout

    with running(app) as service:
        sidelog = Sidelog(tmp_path / "data", service)
        with sidelog:
            for _ in range(3):
                assert _status(sidelog, "/cart") == 301
            sidelog.await_log("redirect loop: 127.0.0.1")
            [event] = eventually(lambda: sidelog.records("query=name:unlisted_proxy&kind=event"))
            assert (event["level"], event["data"]["address"]) == ("warn", "127.0.0.1")
            assert sidelog.log.count("redirect loop") == 1
            assert 'trusted_proxies = ["127.0.0.1"]' in doctor("--upstream", service)

        sidelog.environ |= TRUSTING
        with sidelog:
            assert _status(sidelog, "/cart") == 200
            assert "proxy in front" not in doctor("--upstream", service)


def _status(sidelog: Sidelog, path: str) -> int:
    client = http.client.HTTPConnection("127.0.0.1", sidelog.port, timeout=60)
    try:
        client.request("GET", path, headers={"Host": "shop.example", "X-Forwarded-Proto": "https"})
        return client.getresponse().status
    finally:
        client.close()
