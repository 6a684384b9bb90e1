"""Recorded requests are sent again by the command line, to real services, and their answers
compared.
"""

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web

from tests.support.certificate import self_signed
from tests.support.client import Client
from tests.support.here import run_here
from tests.support.programs import PROGRAM_S
from tests.support.script import Script
from tests.support.sidelog import ROOT, Sidelog, eventually
from tests.support.upstream import running, scripted

BEARER: Final = "Bearer canary-f3Zq81-bearer-value"
PASSWORD: Final = "canary-9sKd02-password"
ECHOED: Final = "sk-proj-canary7Qm3xT9vB2nL5kW8zR4yH6jF1dS0aGpXcVbN"
"""A secret that the service puts into an answer, of a kind that is known by its looks."""


class Shop:
    """A service with ids, times, an enum, a login, and a change that can be planted."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.has_change = False
        self.is_hanging = False
        self.count = 0

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/orders/{id}", self._order)
        app.router.add_route("*", "/{tail:.*}", self._any)
        return app

    async def _note(self, request: web.Request) -> None:
        self.seen.append(
            (request.method, request.path_qs, dict(request.headers), await request.read())
        )
        while self.is_hanging:  # noqa: ASYNC110 - another thread changes it
            await asyncio.sleep(0.01)

    async def _order(self, request: web.Request) -> web.Response:
        await self._note(request)
        self.count += 1
        state = ("open", "paid", "sent")[self.count % 3]
        order = {
            "id": int(request.match_info["id"]),
            "at": f"2024-06-01T00:00:{self.count:02}Z",
            "state": state,
        }
        order |= {
            "items": [{"sku": f"s{n}", "price": n * 1.5} for n in range(self.count % 4)],
            "total": self.count,
        }
        if self.has_change and order["id"] == 17:
            order["total"] = str(order["total"])
        return web.json_response(order, headers={"X-Request-Id": f"{self.count}"})

    async def _any(self, request: web.Request) -> web.Response:
        await self._note(request)
        is_known = request.headers.get("Authorization") == BEARER
        return web.json_response(
            {"ok": is_known, "apiKey": ECHOED, "note": f"key {ECHOED}"},
            status=200 if is_known else 401,
        )


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop()


@pytest.fixture(scope="module")
def service(shop: Shop) -> Iterator[str]:
    with running(shop.application()) as url:
        yield url


@pytest.fixture(scope="module")
def sidelog(
    tmp_path_factory: pytest.TempPathFactory, shop: Shop, service: str
) -> Iterator[Sidelog]:
    """With 40 orders, an authorised search and a login."""
    environ = {"SIDELOG_REPLAY__ENABLED": "true"}
    with Sidelog(tmp_path_factory.mktemp("replay") / "data", service, environ=environ) as started:
        for number in range(40):
            fetch(started.url + f"/orders/{number}")
        login = json.dumps({"user": {"name": "a", "password": PASSWORD}}).encode()
        fetch(started.url + f"/search?q=x&token={PASSWORD}", headers={"Authorization": BEARER})
        fetch(
            started.url + "/login",
            data=login,
            headers={"Content-Type": "application/json", "Authorization": BEARER},
        )
        started.settled_ledger()
        yield started


@pytest.fixture(autouse=True)
def quiet(shop: Shop) -> None:
    shop.seen.clear()
    shop.has_change = False
    shop.is_hanging = False


def fetch(url: str, **request: Any) -> None:
    try:
        urllib.request.urlopen(urllib.request.Request(url, **request), timeout=60).read()
    except urllib.error.HTTPError as error:
        error.read()


def command(
    *words: str, data_dir: Path | None, environ: dict[str, str]
) -> tuple[list[str], dict[str, str]]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("SIDELOG_")}
    known |= environ | {"SIDELOG_DATA_DIR": str(data_dir or "/nonexistent")}
    return [sys.executable, "-m", "proxy", *words], known


def call(
    *words: str,
    data_dir: Path | None = None,
    code: int = 0,
    environ: dict[str, str] | None = None,
) -> str:
    """Run a command in this process, to start one takes longer; return all it wrote, in which no
    secret is.
    """
    _, known = command(*words, data_dir=data_dir, environ=environ or {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", known)
        returned, written, complaints = run_here(*words)
    assert returned == code, written + complaints
    assert_clean(written + complaints)
    return written if code == 0 else written + complaints


def assert_clean(text: str) -> None:
    for secret in (BEARER.removeprefix("Bearer "), PASSWORD, ECHOED):
        assert secret not in text


GIVEN: Final = ("--set-header", "authorization=env:BEARER", "--edit", "query.token=env:SECRET")
ENVIRON: Final = {"BEARER": BEARER, "SECRET": PASSWORD}


def test_the_same_service_answers_in_the_same_shape(
    sidelog: Sidelog, shop: Shop, service: str
) -> None:
    """Ids, times and counts differ freely; only what is safe is sent, with the id of its original."""
    found = json.loads(
        call("replay", "path:/orders/*", "--against", service, "--json", data_dir=sidelog.data_dir)
    )
    assert (found["equal"], found["different"], found["failed"]) == (40, 0, 0)
    ids = [record["id"] for record in sidelog.records("path=/orders")]
    assert {headers["X-Sidelog-Replay-Of"] for _, _, headers, _ in shop.seen} == set(ids)
    assert "40 different" in call(
        "replay",
        "path:/orders/*",
        "--against",
        service,
        "--expect",
        "same",
        data_dir=sidelog.data_dir,
        code=1,
    )


def test_a_planted_change_is_found(
    sidelog: Sidelog, shop: Shop, service: str, tmp_path: Path
) -> None:
    """One field of one answer, by its place; the suite runs without any sidelog, at a pace or one
    by one.
    """
    suite = tmp_path / "suite.ndjson"
    archive = tmp_path / "suite.har"
    call("save", "orders", "path:/orders/*", "-o", str(suite), data_dir=sidelog.data_dir)
    call("export", "har", "--path", "orders/", "-o", str(archive), data_dir=sidelog.data_dir)
    assert json.loads(suite.read_text().splitlines()[0])["name"] == "orders"
    assert "40 equal" in call("replay", str(suite), "--against", service, "--rate", "1000")
    assert "40 equal" in call("replay", str(archive), "--against", service, "--as-recorded")
    shop.has_change = True

    for file in (suite, archive):
        shown = call("replay", str(file), "--against", service, code=1)
        assert "GET /orders/{id}: 1 of 40 answers are not as expected" in shown
        assert '1 of 40: .total is of another type ("number" -> "string")  (example: ' in shown
        assert "39 equal, 1 different, 0 failed; 1 of 1 endpoints differ" in shown

    assert "40 equal" in call("replay", str(suite), "--against", service, "--ignore", "total")
    call(
        "save",
        "orders",
        "path:/orders/*",
        "--ignore",
        ".total",
        "-o",
        str(suite),
        data_dir=sidelog.data_dir,
    )
    assert "40 equal" in call("replay", str(suite), "--against", service)


def test_a_suite_is_sent_several_times(
    sidelog: Sidelog, shop: Shop, service: str, tmp_path: Path
) -> None:
    """At a multiple of the recorded pace, several at once; a second run goes on where the first one
    ended.
    """
    suite = tmp_path / "suite.ndjson"
    results = tmp_path / "results.ndjson"
    call(
        "save", "few", "path:/orders/*", "--limit", "3", "-o", str(suite), data_dir=sidelog.data_dir
    )
    words = (
        "replay",
        str(suite),
        "--against",
        service,
        "--loop",
        "3",
        "--concurrency",
        "4",
        "--speed",
        "100",
    )
    assert "9 sent: 9 equal" in call(*words, "-o", str(results))
    assert Counter(target for _, target, _, _ in shop.seen) == {
        f"/orders/{n}": 3 for n in (37, 38, 39)
    }
    assert [
        json.loads(line).get("round", 1) for line in results.read_text().splitlines()[1:]
    ].count(3) == 3
    assert "9 sent: 9 equal" in call(*words, "-o", str(results))
    assert len(shop.seen) == 9


def test_a_certificate_is_verified_unless_it_is_said_otherwise(
    sidelog: Sidelog, tmp_path: Path, service: str
) -> None:
    """By `--insecure`."""
    suite = tmp_path / "suite.ndjson"
    call(
        "save", "one", "path:/orders/*", "--limit", "1", "-o", str(suite), data_dir=sidelog.data_dir
    )
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*self_signed(tmp_path))

    with running(Shop().application(), tls) as url:
        words = ("replay", str(suite), "--against", url)
        assert "CERTIFICATE_VERIFY_FAILED" in call(*words, code=1)
        assert "1 equal" in call(*words, "--insecure")


def test_an_answer_is_waited_for_as_long_as_is_said(
    sidelog: Sidelog, shop: Shop, service: str
) -> None:
    """And no longer."""
    shop.is_hanging = True
    words = ("replay", "path:/orders/7", "--against", service, "--timeout-s", "0.2")
    assert "no answer within 0.2 s" in call(*words, data_dir=sidelog.data_dir, code=1)


def test_a_host_is_chosen_of_a_file(sidelog: Sidelog, service: str, tmp_path: Path) -> None:
    """As its requests name it."""
    archive = tmp_path / "suite.har"
    call("export", "har", "--path", "orders/", "-o", str(archive), data_dir=sidelog.data_dir)
    host = sidelog.url.removeprefix("http://")
    assert "40 sent" in call("replay", str(archive), "--host", host, "--against", service)
    assert "nothing to send" in call(
        "replay", str(archive), "--host", "other", "--against", service, code=1
    )


def test_places_are_ignored_where_two_records_are_compared(sidelog: Sidelog) -> None:
    """Two orders differ in nothing else; what is no place is refused."""
    one, other = [record["id"] for record in sidelog.records("path=/orders")[:2]]
    assert ".total" in call("compare", one, other, data_dir=sidelog.data_dir, code=1)
    words = [
        word for place in ("id", "at", "state", "items", "total") for word in ("--ignore", place)
    ]
    words += ["--ignore", "header:content-length"]
    shown = call("compare", one, other, *words, data_dir=sidelog.data_dir, code=1)
    assert "path" in shown
    assert ".total  " not in shown
    assert "'a..b' is not a place" in call(
        "compare", one, other, "--ignore", "a..b", data_dir=sidelog.data_dir, code=2
    )


def test_a_suite_may_be_short(sidelog: Sidelog, tmp_path: Path) -> None:
    """The newest exchanges, and those oldest first, as in any suite."""
    suite = tmp_path / "suite.ndjson"
    call(
        "save", "few", "path:/orders/*", "--limit", "3", "-o", str(suite), data_dir=sidelog.data_dir
    )
    first, *lines = map(json.loads, suite.read_text().splitlines())
    assert (first["name"], [line["path"] for line in lines]) == (
        "few",
        ["/orders/37", "/orders/38", "/orders/39"],
    )
    call(
        "save",
        "all",
        "path:/orders/*",
        "--limit",
        "300",
        "-o",
        str(suite),
        data_dir=sidelog.data_dir,
    )
    assert len(suite.read_text().splitlines()) == 41
    call("save", "none", "path:/none", "--limit", "3", "-o", str(suite), data_dir=sidelog.data_dir)
    assert len(suite.read_text().splitlines()) == 1


def test_no_answer_is_no_answer_of_before(sidelog: Sidelog, tmp_path: Path) -> None:
    """The reason is said, once for an endpoint."""
    words = ("replay", "path:/orders/7", "--against", "http://127.0.0.1:1")
    assert "1 of 1 have no answer: Connection refused" in call(
        *words, data_dir=sidelog.data_dir, code=1
    )
    words = ("replay", "path:/orders/*", *words[2:])
    said = call(*words, "-o", str(tmp_path / "dead"), data_dir=sidelog.data_dir, code=1)
    assert "10 sent: 0 equal, 0 different, 10 failed" in said
    assert "30 not sent: nothing listens at http://127.0.0.1:1, as 10 requests say" in said
    assert "Errno" not in said
    assert (
        len((tmp_path / "dead").read_text().splitlines()) == 1 + 10
    )  # a later run sends the others


def test_redacted_parts_must_be_given(sidelog: Sidelog, shop: Shop, service: str) -> None:
    """Each is named and nothing is sent; given, the requests are whole, and nothing of a secret is
    shown or written.
    """
    words = ("replay", "path:/search or path:/login", "--against", service, "--expect", "same")
    refused = call(*words, "--unsafe", data_dir=sidelog.data_dir, code=2)
    for part in ("header authorization in 2 requests", "query.token", "body.user.password"):
        assert part in refused
    assert shop.seen == []
    found = json.loads(call(*words, *GIVEN, "--json", data_dir=sidelog.data_dir, environ=ENVIRON))
    assert found["reasons"] == {"its method is not safe: --unsafe sends it": 1}
    assert {(method, target) for method, target, _, _ in shop.seen} == {
        ("GET", f"/search?q=x&token={PASSWORD}")
    }
    shop.seen.clear()
    given = (*GIVEN, "--edit", "body.user.password=env:SECRET", "--unsafe")
    assert "2 equal" in call(*words, *given, data_dir=sidelog.data_dir, environ=ENVIRON)
    assert [json.loads(body) for *_, body in shop.seen if body] == [
        {"user": {"name": "a", "password": PASSWORD}}
    ]
    assert {headers["Authorization"] for *_, headers, _ in shop.seen} == {BEARER}


def test_no_secret_is_in_what_differs(
    sidelog: Sidelog, shop: Shop, service: str, tmp_path: Path
) -> None:
    """Not those that were given, nor those that an answer holds."""
    results = tmp_path / "results.ndjson"
    words = ("replay", "path:/search", "--against", service, "--expect", "same", "-o", str(results))
    wrong = {"BEARER": f"{BEARER}x", "SECRET": PASSWORD}
    assert "answer 401 instead of 200" in call(
        *words, *GIVEN, data_dir=sidelog.data_dir, code=1, environ=wrong
    )
    assert_clean(results.read_text())
    assert results.stat().st_mode & 0o077 == 0
    unreachable = ("replay", "path:/search", "--against", "http://127.0.0.1:1", *GIVEN, "--json")
    assert (
        json.loads(call(*unreachable, data_dir=sidelog.data_dir, code=1, environ=ENVIRON))["failed"]
        == 1
    )


def test_a_replay_through_sidelog_links_back(sidelog: Sidelog) -> None:
    """The result names the new record, which has the id of its original; replays are not replayed."""
    results = sidelog.data_dir.parent / "through.ndjson"
    words = ("replay", "path:/orders/7", "--against", sidelog.url)
    call(*words, "-o", str(results), data_dir=sidelog.data_dir)
    result = json.loads(results.read_text().splitlines()[-1])
    assert_clean(json.dumps(sidelog.settled_ledger()))
    shown = json.loads(call("get", result["record"], "--json", data_dir=sidelog.data_dir))
    assert ["X-Sidelog-Replay-Of", result["id"]] in shown["request"]["headers"]
    listed = call(
        "query", f"header.x-sidelog-replay-of:{result['id']}", "--json", data_dir=sidelog.data_dir
    )
    assert [json.loads(line)["id"] for line in listed.splitlines()] == [result["record"]]
    again = json.loads(call(*words, "--json", data_dir=sidelog.data_dir))
    assert (again["equal"], again["reasons"]) == (1, {"it was a replay itself": 1})


def interrupted(words: tuple[str, ...], is_reached: Any) -> None:
    """Kill a command once something is reached."""
    line, known = command(*words, data_dir=None, environ={})
    with subprocess.Popen(
        line, cwd=ROOT, env=known, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        eventually(is_reached)
        process.send_signal(signal.SIGKILL)


def test_an_interrupted_replay_goes_on(
    sidelog: Sidelog, shop: Shop, service: str, tmp_path: Path
) -> None:
    """What has a result is not sent again, and half a line of the file is no result."""
    suite = tmp_path / "suite.ndjson"
    results = tmp_path / "results.ndjson"
    call(
        "save",
        "orders",
        "path:/orders/* -path:/orders/7",
        "-o",
        str(suite),
        data_dir=sidelog.data_dir,
    )
    words = ("replay", str(suite), "--against", service, "-o", str(results))
    interrupted((*words, "--rate", "20"), lambda: len(shop.seen) > 5)
    with results.open("ab") as file:
        file.write(b'{"id": "half of')
    sent = len(shop.seen)
    assert "39 sent: 39 equal" in call(*words)
    assert sent + 39 - 1 > len(shop.seen) >= 39
    assert max(Counter(target for _, target, _, _ in shop.seen).values()) <= 2
    assert "39 sent: 39 equal" in call(*words)
    line, known = command(*words[:3], service + "/x", *words[4:], data_dir=None, environ={})
    done = subprocess.run(
        line, cwd=ROOT, env=known, capture_output=True, text=True, timeout=PROGRAM_S
    )
    assert (done.returncode, "another against" in done.stderr) == (2, True)


def test_what_is_not_safe_is_sent_once(
    sidelog: Sidelog, shop: Shop, service: str, tmp_path: Path
) -> None:
    """Though its answer was never seen."""
    suite = tmp_path / "suite.ndjson"
    results = tmp_path / "results.ndjson"
    call("save", "login", "path:/login", "-o", str(suite), data_dir=sidelog.data_dir)
    given = ("--set-header", "authorization=", "--edit", "body.user.password=x")
    words = ("replay", str(suite), "--against", service, "-o", str(results), "--unsafe", *given)
    shop.is_hanging = True
    interrupted(words, lambda: len(shop.seen) == 1)
    shop.is_hanging = False
    assert "1 not sent: an earlier run was ended while it was sent" in call(*words, code=1)
    assert len(shop.seen) == 1


def test_what_cannot_be_done_is_said(sidelog: Sidelog, shop: Shop, service: str) -> None:
    """Before anything is sent."""
    for words, code, message in (
        (("path:/orders/*",), 2, "Missing option '--against'"),
        (("path:/orders/*", "--against", "127.0.0.1:80"), 2, "is not a URL"),
        (("path:/orders/*", "--against", "http://127.0.0.1:99999"), 2, "is not a URL"),
        (("path:/orders/*", "--against", "http://[::1"), 2, "is not a URL"),
        (
            ("path:/orders/*", "--against", service, "--edit", "body.typo=1"),
            2,
            "no request that is sent has body.typo",
        ),
        (
            ("path:/orders/*", "--against", service, "--edit", "path=/a\nb"),
            2,
            "is not a valid path",
        ),
        (
            ("path:/orders/*", "--against", service, "--set-header", "x=env:NONE"),
            2,
            "NONE, which is not set",
        ),
        (("path:/orders/*", "--against", service, "--rate", "1", "--as-recorded"), 2, "two paces"),
        (("path:/orders/*", "--against", service, "--rate", "1", "--speed", "2"), 2, "two paces"),
        (
            ("path:/orders/*", "--against", service, "--speed", "0"),
            2,
            "above 0, at most 1000, got '0'",
        ),
        (("path:/orders/*", "--against", service, "--ignore", "a..b"), 2, "'a..b' is not a place"),
        (("path:/none", "--against", service), 1, "nothing to send"),
        ((str(ROOT / "README.md"), "--against", service), 2, "neither a suite nor an HTTP Archive"),
        (
            (str(ROOT / "README.md"), "--against", service, "--since", "1h"),
            2,
            "without other filters",
        ),
    ):
        assert message in " ".join(
            call("replay", *words, data_dir=sidelog.data_dir, code=code).split()
        )

    assert shop.seen == []


def test_a_record_is_sent_again_by_the_admin_port(sidelog: Sidelog, shop: Shop) -> None:
    """As edited; who sent what is in the log, as an event and as a line, and it is counted; no
    secret is anywhere.
    """
    record_id = sidelog.records("path=/search")[0]["id"]
    asked = {"method": "GET", "target": "/search?q=y", "headers": [["Authorization", BEARER]]}

    def send(again: dict[str, Any]) -> Any:
        url = f"{sidelog.admin_url}/api/records/{record_id}/send"
        headers = {"Authorization": f"Bearer {sidelog.token}"}
        return urllib.request.urlopen(
            urllib.request.Request(url, json.dumps(again).encode(), headers), timeout=60
        )

    with send(asked) as response:
        answer = response.read().decode()
    assert_clean(answer)
    assert json.loads(answer)["equal"]
    assert [
        (method, target, headers["X-Sidelog-Replay-Of"]) for method, target, headers, _ in shop.seen
    ] == [("GET", "/search?q=y", record_id)]
    with pytest.raises(urllib.error.HTTPError, match="409"):
        send(asked | {"target": "/search?token=[REDACTED]"})
    assert len(shop.seen) == 1
    event = eventually(lambda: sidelog.records("kind=event&query=name:sent_again"))[0]
    known = {"by": "admin", "record": record_id, "method": "GET", "path": "/search", "status": 200}
    assert known.items() <= event["data"].items()
    sidelog.await_log("a recorded request was sent again: answered")
    with urllib.request.urlopen(f"{sidelog.admin_url}/metrics", timeout=60) as response:
        assert 'sidelog_sent_again_total{result="answered"} 1.0' in response.read().decode()
    assert_clean(json.dumps(event) + sidelog.log)


def test_octets_beyond_ascii_are_sent_as_they_were(tmp_path: Path) -> None:
    """By replay, by the API and by curl: target and value have the octets that the client sent."""
    service = Script()
    asked = b"GET /caf\xe9?q=\xe9&u=\xc3\xa9 HTTP/1.1\r\n"
    named = b"\r\nX-Name: caf\xe9 \xc3\xa9\r\nX-Text: caf\xc3\xa9\r\n"

    with (
        scripted(service) as url,
        Sidelog(tmp_path / "data", url, environ={"SIDELOG_REPLAY__ENABLED": "true"}) as sidelog,
    ):
        host = url.removeprefix("http://").encode()
        with Client(socket.create_connection(("127.0.0.1", sidelog.port))) as client:
            client.send(asked + b"Host: " + host + named + b"\r\n")
            assert client.answer().status == 200
        sidelog.settled_ledger()
        [record] = sidelog.records()
        call("replay", "--against", url, data_dir=sidelog.data_dir)
        target = f"{record['path']}?{record['query']}"
        again = {
            "method": "GET",
            "target": target,
            "headers": [["X-Name", "caf\xe9 \xc3\xa9"], ["X-Text", "caf\xe9"]],
        }
        ask = urllib.request.Request(
            f"{sidelog.admin_url}/api/records/{record['id']}/send", json.dumps(again).encode(),
            {"Authorization": f"Bearer {sidelog.token}"},
        )  # fmt: skip
        urllib.request.urlopen(ask, timeout=60).close()
        line = call("get", record["id"], "--curl", data_dir=sidelog.data_dir)
        subprocess.run(["sh", "-c", line], check=True, capture_output=True, timeout=PROGRAM_S)

    assert len(service.requests) == 4
    for request in service.requests:
        assert request.startswith(asked)
        assert named in request
