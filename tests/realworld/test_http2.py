"""Clients of HTTP/2 before servers of HTTP/2, over TLS: what they get through sidelog, and what is
on record of it.
"""

import asyncio
import contextlib
import json
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import ClientSession

from tests.realworld.programs import (
    SERVERS,
    client_environ,
    go_program,
    python_program,
    run,
    system_program,
)
from tests.realworld.test_grpc import listens
from tests.support.browser import Browser, start_chromium
from tests.support.certificate import self_signed
from tests.support.ports import free_port
from tests.support.sidelog import Sidelog, eventually

pytestmark = [pytest.mark.realworld, pytest.mark.timeout(300)]

LARGE: Final = bytes(range(256)) * 32768
Ask = Callable[[str, Path, Path], Any]
"""Ask a server, with its certificate, in a directory; return status and size of each answer."""


def by_program(make: Callable[[Path], list[str]]) -> Ask:
    return lambda url, cert, home: json.loads(run([*make(home), url, str(cert)], home))


def by_curl(url: str, cert: Path, home: Path) -> Any:
    curl = [system_program("curl"), "--silent", "--show-error", "--http2", "--cacert", str(cert)]
    body = home / "body"
    got = home / "got"
    body.write_bytes(LARGE)

    def ask(path: str, *more: str) -> list[int]:
        got.unlink(missing_ok=True)
        said = run(
            [*curl, "-w", "%{http_version} %{http_code}", "-o", str(got), *more, url + path], home
        ).split()
        found = got.read_bytes() if got.exists() else b""
        assert said[0] == "2"
        assert found == LARGE or len(found) < len(LARGE)
        return [int(said[1]), 0 if "--head" in more else len(found)]

    told = {
        "GET": ask("/small"),
        "HEAD": ask("/small", "--head"),
        "missing": ask("/missing")[0],
        "large": ask("/large"),
    }
    told["upload"] = ask("/echo", "--data-binary", f"@{body}")
    many = run(
        [
            *curl,
            "--parallel",
            "-w",
            "%{http_code} ",
            *[word for _ in range(50) for word in ("-o", "/dev/null", f"{url}/small")],
        ],
        home,
    )
    told["at once"] = many.split().count("200")
    _read_some([*curl, f"{url}/endless"], home)
    return told


def by_nghttp(url: str, cert: Path, home: Path) -> Any:
    nghttp = [system_program("nghttp", "nghttp2-client"), "-nv"]
    (home / "body").write_bytes(LARGE)

    def ask(path: str, *more: str) -> list[int]:
        said = run([*nghttp, *more, url + path], home)
        sizes = re.findall(r"recv DATA frame <length=(\d+)", said)
        return [int(re.findall(r":status: (\d+)", said)[-1]), sum(map(int, sizes))]

    many = run([*nghttp, "-m", "50", f"{url}/small"], home)
    told = {
        "GET": ask("/small"),
        "HEAD": ask("/small", "-H", ":method: HEAD"),
        "missing": ask("/missing")[0],
        "large": ask("/large"),
        "upload": ask("/echo", "-d", str(home / "body")),
        "at once": many.count(":status: 200"),
    }
    _read_some([*nghttp[:1], f"{url}/endless"], home)
    return told


def _read_some(command: list[str], home: Path) -> None:
    """Read the beginning of what a program prints, and kill it."""
    with subprocess.Popen(
        command, cwd=home, env=client_environ(home), stdout=subprocess.PIPE
    ) as asking:
        assert asking.stdout is not None
        assert asking.stdout.read(1)
        asking.kill()


FETCHES: Final = """(async () => {
  const large = new Uint8Array(8 << 20).map((_, at) => at);
  const same = (found) => found.length < large.length || found.every((byte, at) => byte === large[at]);
  const ask = async (method, path, body) => {
    const answer = await fetch(`/h2${path}`, { method, body, cache: "no-store" });
    const found = new Uint8Array(await answer.arrayBuffer());
    return [answer.status, same(found) ? found.length : -1];
  };
  const told = { GET: await ask("GET", "/small"), HEAD: await ask("HEAD", "/small") };
  told.missing = (await ask("GET", "/missing"))[0];
  told.large = await ask("GET", "/large");
  told.upload = await ask("POST", "/echo", large);
  const asked = await Promise.all(Array.from({ length: 50 }, () => ask("GET", "/small")));
  told["at once"] = asked.filter(([status]) => status === 200).length;
  const stop = new AbortController();
  const endless = await fetch("/h2/endless", { signal: stop.signal });
  await endless.body.getReader().read();
  stop.abort();
  const used = new Set(performance.getEntriesByType("resource").map((entry) => entry.nextHopProtocol));
  if (!used.has("h2") || used.has("http/1.1")) throw new Error([...used]);
  return told;
})()"""


def by_chromium(url: str, cert: Path, home: Path) -> Any:
    async def fetch(port: int) -> Any:
        async with ClientSession() as session, Browser(session, port).page() as page:
            await page.open(f"{url}/page.html")
            return await page.evaluate(FETCHES)

    with start_chromium(home / "profile", "--ignore-certificate-errors") as port:
        return asyncio.run(fetch(port))


def node(home: Path) -> list[str]:
    return [system_program("node", "nodejs"), str(SERVERS / "http2_client.mjs")]


def java(home: Path) -> list[str]:
    system_program("javac", "default-jdk-headless")
    return ["java", str(SERVERS / "Http2Client.java")]


CLIENTS: Final[dict[str, Ask]] = {
    "curl": by_curl,
    "nghttp": by_nghttp,
    "chromium": by_chromium,
    "httpx": by_program(lambda home: [python_program(), str(SERVERS / "http2_client.py")]),
    "node": by_program(node),
    "go": by_program(lambda home: [go_program("http2_client.go", home)]),
    "java": by_program(java),
}


def nghttpd(port: int, cert: Path, key: Path, home: Path) -> list[str]:
    program = system_program("nghttpd", "nghttp2-server")
    return [
        program,
        "-a",
        "127.0.0.1",
        "--echo-upload",
        "-d",
        str(home),
        str(port),
        str(key),
        str(cert),
    ]


def hypercorn(port: int, cert: Path, key: Path, home: Path) -> list[str]:
    program = [python_program("hypercorn"), "--bind", f"127.0.0.1:{port}"]
    return [
        *program,
        "--certfile",
        str(cert),
        "--keyfile",
        str(key),
        "--workers",
        "0",
        "echo_app:app",
    ]


@contextlib.contextmanager
def served(
    command: Callable[[int, Path, Path, Path], list[str]], home: Path
) -> Iterator[tuple[int, Path, Path]]:
    """Run a server with some files; give its port, certificate and key."""
    (home / "h2").mkdir()
    cert, key = self_signed(home)
    for name, size in (("small", 5), ("large", len(LARGE)), ("endless", 1 << 28), ("page.html", 0)):
        with (home / "h2" / name).open("wb") as file:
            file.write(LARGE[:size])
            file.truncate(size)

    port = free_port()
    server = subprocess.Popen(
        command(port, cert, key, home),
        cwd=home,
        env=client_environ(home) | {"PYTHONPATH": str(SERVERS)},
    )
    try:
        eventually(lambda: listens(port) or server.poll() is not None)
        assert server.poll() is None
        yield port, cert, key
    finally:
        server.kill()
        server.wait()


CONFIG: Final = """
[proxy]
tls_cert_file = "{cert}"
tls_key_file = "{key}"
http2 = "prefer"
[[routes]]
id = "h2"
path = "/h2/"
upstream = "{url}"
upstream_ca_file = "{cert}"
upstream_protocol = "http2"
"""
RESULTS: Final = {
    "GET": [200, 5], "HEAD": [200, 0], "missing": 404, "large": [200, len(LARGE)], "upload": [200, len(LARGE)],
    "at once": 50,
}  # fmt: skip
RECORDED: Final = {
    ("GET", "/h2/small", 200, "ok", 5): 51,
    ("HEAD", "/h2/small", 200, "ok", 0): 1,
    ("GET", "/h2/missing", 404, "ok", None): 1,
    ("GET", "/h2/large", 200, "ok", len(LARGE)): 1,
    ("POST", "/h2/echo", 200, "ok", len(LARGE)): 1,
    ("GET", "/h2/endless", 200, "client_closed", None): 1,
}


@pytest.mark.parametrize("server", [nghttpd, hypercorn])
@pytest.mark.parametrize("client", CLIENTS)
def test_every_kind_of_request(
    tmp_path: Path, client: str, server: Callable[[int, Path, Path, Path], list[str]]
) -> None:
    """Answers are those of a direct connection, one is cancelled; each exchange is one record,
    which is true.
    """
    ask = CLIENTS[client]
    with served(server, tmp_path) as (port, cert, key):
        url = f"https://127.0.0.1:{port}"
        for name in ("direct", "proxied"):
            (tmp_path / name).mkdir()
        assert ask(f"{url}/h2", cert, tmp_path / "direct") == RESULTS
        config = tmp_path / "sidelog.toml"
        config.write_text(CONFIG.format(url=url, cert=cert, key=key))

        with Sidelog(tmp_path / "data", url, "--config", str(config)) as sidelog:
            assert (
                ask(f"https://127.0.0.1:{sidelog.port}/h2", cert, tmp_path / "proxied") == RESULTS
            )
            eventually(lambda: sidelog.records("outcome=client_closed"))
            ledger = sidelog.settled_ledger()
            records = [record for record in sidelog.records() if record["route_id"] == "h2"]

    assert ledger["dropped"] == {}
    assert {record["http_version"] for record in records} == {"2"}
    found = Counter(map(_as_recorded, records))
    assert {each: count for each, count in found.items() if "page.html" not in each[1]} == RECORDED


def _as_recorded(record: dict[str, Any]) -> tuple[Any, ...]:
    is_whole = record["outcome"] == "ok" and record["status"] == 200
    size = record["response_bytes"] if is_whole else None
    return record["method"], record["path"], record["status"], record["outcome"], size
