"""Changes that were planted in a service are all found by a replay, each in one line, and nothing
else is.

Each answer has an id, a time and a header that are drawn anew, so that three recorded answers tell
what they are.
"""

import asyncio
import http.client
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from tests.e2e.test_replay import call
from tests.support.sidelog import Sidelog
from tests.support.upstream import running

IDS: Final = 8
ROUNDS: Final = 3
"""As many as make evidence."""
EACH: Final = IDS * ROUNDS

SHAPED: Final = {
    "status": ["answer 201 instead of 200"],
    "gone": [".note is gone"],
    "renamed": [".user.name is gone, .user.full_name is new"],
    "type": ['.total is of another type ("number" -> "string")'],
    "enum": ['.state differs ("paid | open" -> "archived")'],
    "media": ["header content-type differs (application/json -> text/plain)"],
    "empty": ['.items differs ("never empty" -> "empty")'],
    "stream": ['.[*].event differs ("tick | done" -> "end")'],
}
"""What the shape of each endpoint tells, by the planted change."""
SAME: Final = SHAPED | {
    "type": ['.total is of another type (1 -> "1")'],
    "enum": ['.state differs ("paid" -> "archived")'],
    "media": [
        "header content-type differs (application/json; charset=utf-8 -> text/plain; charset=utf-8)"
    ],
    "empty": [".items[*] is gone"],
    "stream": ['event .[*].event differs ("done" -> "end")'],
    "order": [".list is in another order"],
    "header": ["header x-version differs (1 -> 2)"],
    "error": ['.error differs ("no order 1" -> "order 1 is unknown")'],
}
ENDPOINTS: Final = (*SAME, "slow")


class Service:
    """A service with an endpoint for each kind of change."""

    def __init__(self) -> None:
        self.is_changed = False
        self._drawn = itertools.count()

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/{kind}/{id}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        number = int(request.match_info["id"])
        is_changed = self.is_changed
        content = {
            "at": f"2026-06-01T00:00:00.{next(self._drawn):06}Z",
            "id": number,
            "note": "n",
            "user": {"name": "a", "tags": ["x"]},
            "total": number,
            "state": ("open", "paid")[number % 2],
            "list": [3, 1, 2],
            "items": [
                {"sku": "s1", "ref": next(self._drawn)},
                {"sku": "s2", "ref": next(self._drawn)},
            ],
        }
        status, media_type = (
            (404, "application/json") if kind == "error" else (200, "application/json")
        )
        headers = {"X-Version": "1", "X-Drawn": str(next(self._drawn))}
        if kind == "slow":
            await asyncio.sleep(0.02 if is_changed else 0)
        if kind == "error":
            content["error"] = f"order {number} is unknown" if is_changed else f"no order {number}"
        if kind == "stream":
            name = "end" if is_changed else "done"
            events = [
                f"event: tick\ndata: {json.dumps({'ref': next(self._drawn)})}\n\n: ping\n\n"
            ] * 2
            text = "".join([*events, f"event: {name}\ndata: {{}}\n\n"])
            return web.Response(text=text, headers=headers, content_type="text/event-stream")

        if is_changed and kind == "status":
            status = 201
        if is_changed and kind == "header":
            headers["X-Version"] = "2"
        if is_changed and kind == "media":
            media_type = "text/plain"
        if is_changed:
            _plant(content, kind)
        return web.Response(
            status=status, text=json.dumps(content), headers=headers, content_type=media_type
        )


def _plant(content: dict[str, Any], kind: str) -> None:
    """Make the change of an endpoint, where it is one of the body."""
    if kind == "gone":
        del content["note"]
    elif kind == "renamed":
        content["user"]["full_name"] = content["user"].pop("name")
    elif kind == "type":
        content["total"] = str(content["total"])
    elif kind == "enum":
        content["state"] = "archived"
    elif kind == "order":
        content["list"].reverse()
    elif kind == "empty":
        content["items"] = []


@pytest.fixture(scope="module")
def service() -> Service:
    return Service()


@pytest.fixture(scope="module")
def upstream(service: Service) -> Iterator[str]:
    with running(service.application()) as url:
        yield url


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory, upstream: str) -> Path:
    """Each endpoint asked for each id, three times."""
    directory = tmp_path_factory.mktemp("truth")
    with Sidelog(directory / "data", upstream) as sidelog:
        connection = http.client.HTTPConnection(
            "127.0.0.1", urlsplit(sidelog.url).port or 0, timeout=60
        )
        for _ in range(ROUNDS):
            for kind, number in itertools.product(ENDPOINTS, range(1, IDS + 1)):
                connection.request("GET", f"/{kind}/{number}")
                connection.getresponse().read()

        connection.close()
        sidelog.settled_ledger()
        call("save", "truth", "-o", str(directory / "suite.ndjson"), data_dir=sidelog.data_dir)

    return _timed(directory / "suite.ndjson")


def _timed(path: Path) -> Path:
    """Let what is to become slower have been fast, and all else slow: no time of this machine is
    judged.
    """
    header, *lines = map(json.loads, path.read_text().splitlines())
    for line in lines:
        line["duration_us"] = 1000 if line["path"].startswith("/slow/") else 60_000_000
    path.write_text("".join(json.dumps(line) + "\n" for line in (header, *lines)))
    return path


@pytest.mark.parametrize("expect", ["shape", "same"])
def test_a_service_is_equal_to_itself(
    suite: Path, service: Service, upstream: str, expect: str
) -> None:
    """Whatever it draws anew, and nothing of it is said."""
    service.is_changed = False
    words = ("replay", str(suite), "--against", upstream, "--expect", expect)
    shown = call(*words)
    sent = EACH * len(ENDPOINTS)
    assert (
        f"{sent} sent: {sent} equal, 0 different, 0 failed; 0 of {len(ENDPOINTS)} endpoints differ"
        in shown
    )
    assert "example" not in shown


@pytest.mark.parametrize(("expect", "truth"), [("shape", SHAPED), ("same", SAME)])
def test_each_planted_change_is_one_line(
    suite: Path,
    service: Service,
    upstream: str,
    tmp_path: Path,
    expect: str,
    truth: dict[str, list[str]],
) -> None:
    """With its count and an example; nothing else is said, and slowness only where it is asked for."""
    service.is_changed = True
    junit = tmp_path / "junit.xml"
    words = (
        "replay",
        str(suite),
        "--against",
        upstream,
        "--expect",
        expect,
        "--slower",
        "2",
        "--junit",
        str(junit),
    )
    found = json.loads(call(*words, "--json", code=1))
    changes = {
        each["endpoint"]: [change["text"] for change in each["changes"]]
        for each in found["endpoints"]
    }
    assert {name: texts for name, texts in changes.items() if texts} == {
        f"/{kind}/{{id}}": texts for kind, texts in truth.items()
    }
    assert {change["times"] for each in found["endpoints"] for change in each["changes"]} == {EACH}
    assert [each["endpoint"] for each in found["endpoints"] if each["latency"]["slower"]] == [
        "/slow/{id}"
    ]
    differing = EACH * len(truth)
    assert found["summary"] == (
        f"{EACH * len(ENDPOINTS)} sent: {EACH * (len(ENDPOINTS) - len(truth))} equal, {differing} "
        f"different, 0 failed; {len(truth)} of {len(ENDPOINTS)} endpoints differ, 1 slower"
    )
    assert f'tests="{len(ENDPOINTS)}" failures="{len(truth) + 1}"' in junit.read_text()
