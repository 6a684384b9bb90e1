"""Alerts over a real store and a real receiver: messages arrive at least once, under one id, from
one of many sidecars.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from api.http.errors import Refused
from proxy.collector.watch.alerts.alerting import LEASE_S, Alerting
from proxy.settings.model import AlertSettings
from storage.backends import open_storage
from storage.base import Storage
from storage.errors import StorageUnavailable
from storage.record import format_id
from tests.api.samples import START_US, make_batch, make_record


class Receiver:
    """A webhook that answers as a test says, and keeps its calls."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        """Of the next answers; then 204."""
        self.retry_after = ""
        """Of answers that refuse."""
        self.got: list[tuple[str, str]] = []
        """Ids, and what happened, of messages in the standard format."""
        self.calls: list[tuple[Mapping[str, str], str]] = []
        """Headers, and bodies."""
        self.targets: list[str] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        """Take a call."""
        body = await request.text()
        self.calls.append((request.headers, body))
        self.targets.append(request.raw_path)
        if body.startswith('{"type":"alert.'):
            self.got.append((request.headers["webhook-id"], json.loads(body)["type"]))
        if not self.statuses:
            return web.Response(status=204)

        headers = {"Retry-After": self.retry_after} if self.retry_after else None
        return web.Response(status=self.statuses.pop(0), headers=headers)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.us = START_US + 1_000_000

    def __call__(self) -> int:
        return self.us


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Serve a receiver."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    async with TestServer(app) as server:
        receiver.url = str(server.make_url("/hook"))
        yield receiver


def alerting(
    storage: Storage, receiver: Receiver, clock: Clock, instance: str = "one", **more: Any
) -> Alerting:
    """Make the alerts of one sidecar: more than one failure in a minute."""
    alert = AlertSettings(
        name="failures", url=receiver.url, query="status:5xx", above=1.0, window_s=60.0
    )
    return Alerting(
        (alert,), storage, storage, instance, is_shared=False, **({"now_us": clock} | more)
    )


async def test_an_alert_fires_and_recovers(tmp_path: Path) -> None:
    """Each message is sent once, also after a restart."""
    async with (
        await open_storage("sqlite:///r.db", tmp_path) as storage,
        receiving() as receiver,
        ClientSession() as http,
    ):
        clock = Clock()
        await storage.commit(make_batch(*(make_record(n, status=500) for n in range(2))))
        for _ in range(3):
            await alerting(storage, receiver, clock).look(http)
        clock.us += 61_000_000
        for _ in range(2):
            await alerting(storage, receiver, clock).look(http)
        assert [kind for _, kind in receiver.got] == ["alert.firing", "alert.resolved"]
        shown = await alerting(storage, receiver, clock).describe()
        assert [each["status"] for each in shown["history"]] == ["resolved", "firing"]
        assert shown["alerts"][0]["firing"] == {}


async def test_what_is_not_taken_is_sent_again_under_its_id(tmp_path: Path) -> None:
    """With growing pauses, in order, until it is taken."""
    async with (
        await open_storage("sqlite:///r.db", tmp_path) as storage,
        receiving() as receiver,
        ClientSession() as http,
    ):
        clock = Clock()
        receiver.statuses = [500, 302, 404]
        await storage.commit(make_batch(*(make_record(n, status=500) for n in range(2))))
        one = alerting(storage, receiver, clock)
        for _ in range(20):
            await one.look(http)
            clock.us += 10_000_000
        assert len({name for name, kind in receiver.got if kind == "alert.firing"}) == 1
        assert [kind for _, kind in receiver.got] == ["alert.firing"] * 4 + ["alert.resolved"]
        assert one.sent == {"taken": 2, "failed": 3}
        assert {family.name: family.samples[0].value for family in one.families()} == {
            "sidelog_alerts_firing": 0, "sidelog_alert_webhooks": 2, "sidelog_alert_messages_waiting": 0,
        }  # fmt: skip


REST_DATE = format_datetime(datetime.fromtimestamp(START_US / 1e6 + 46, UTC), usegmt=True)


@pytest.mark.parametrize(("retry_after", "rest_s"), [("45", 45), ("86400", 3600), (REST_DATE, 45)])
async def test_a_receiver_that_wants_rest_gets_it(
    tmp_path: Path, retry_after: str, rest_s: int
) -> None:
    """One that answers 429 is not called before `Retry-After` (seconds or a date), an hour at most."""
    async with (
        await open_storage("sqlite:///r.db", tmp_path) as storage,
        receiving() as receiver,
        ClientSession() as http,
    ):
        clock = Clock()
        receiver.statuses = [429]
        receiver.retry_after = retry_after
        await storage.commit(make_batch(*(make_record(n, status=500) for n in range(2))))
        one = alerting(storage, receiver, clock)

        for wait_s, calls in ((0, 1), (rest_s - 1, 1), (2, 2)):
            clock.us += wait_s * 1_000_000
            await one.look(http)
            assert [kind for _, kind in receiver.got].count("alert.firing") == calls


async def test_a_receiver_that_wants_rest_gets_it_from_all_alerts(tmp_path: Path) -> None:
    """Messages of other alerts to it wait as well, also those that are made meanwhile."""
    async with (
        await open_storage("sqlite:///r.db", tmp_path) as storage,
        receiving() as receiver,
        ClientSession() as http,
    ):
        clock = Clock()
        receiver.statuses = [503]
        receiver.retry_after = "45"
        await storage.commit(make_batch(*(make_record(n, status=500) for n in range(2))))
        both = alerting(storage, receiver, clock)
        [alert] = both.alerts
        other = msgspec.structs.replace(alert, name="other", query="-method:POST")
        await both.look(http)
        assert len(receiver.calls) == 1
        both.alerts = (alert, other)

        for wait_s, calls in ((40, 1), (6, 3)):
            clock.us += wait_s * 1_000_000
            await both.look(http)
            assert len(receiver.calls) == calls


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"format": "alertmanager"},
        {"format": "slack"},
        {"format": "discord"},
        {"format": "teams"},
        {"format": "ntfy"},
        {"format": "pagerduty", "secret": "0123456789abcdef0123456789abcdef"},
        {"body": '{"chat_id": 7, "text": "{text} {link}"}'},
    ],
    ids=lambda settings: str(settings.get("format", "body" if settings else "standard")),
)
async def test_each_format_arrives_with_page_and_requests(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    """And with the headers of the settings. So does a test message."""
    async with (
        await open_storage("sqlite:///r.db", tmp_path) as storage,
        receiving() as receiver,
        ClientSession() as http,
    ):
        clock = Clock()
        await storage.commit(make_batch(*(make_record(n, status=500) for n in range(5))))
        one = alerting(storage, receiver, clock, public_url="https://logs.example")
        given = {"headers": {"Authorization": "Bearer tk"}} | settings
        one.alerts = (msgspec.structs.replace(one.alerts[0], **given),)
        await one.look(http)
        assert (await one.test("failures"))["problem"] is None
        assert len(receiver.calls) == 2
        newest = [format_id(make_record(n).id) for n in (4, 3, 2)]

        for headers, body in receiver.calls:
            assert headers["authorization"] == "Bearer tk"
            everything = (
                (body + headers.get("click", "")).replace("\\u0026", "&").replace("&amp;", "&")
            )
            assert "https://logs.example/requests?filter=status%3A5xx&since=" in everything
            if "body" not in settings:
                assert [id for id in newest if id in body] == newest

        [firing] = (await one.describe())["history"]
        assert (firing["search"], firing["ids"]) == ("status:5xx", newest)
        assert "Bearer" not in json.dumps(await one.describe())


async def test_an_address_is_called_as_it_is_written(tmp_path: Path) -> None:
    """The query of a workflow's webhook is signed, so no escape in it may change."""
    query = "?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sig=a_b-c%2Bd~"
    async with await open_storage("sqlite:///r.db", tmp_path) as storage, receiving() as receiver:
        receiver.url += query
        assert (await alerting(storage, receiver, Clock()).test("failures"))["problem"] is None
        assert receiver.targets == [f"/hook{query}"]


async def test_what_must_last_survives_a_restart(tmp_path: Path) -> None:
    """The wait of `for_s` goes on after a restart."""
    async with (
        await open_storage("sqlite:///r.db", tmp_path) as storage,
        receiving() as receiver,
        ClientSession() as http,
    ):
        clock = Clock()
        await storage.commit(make_batch(*(make_record(n, status=500) for n in range(2))))
        for wait_s, calls in ((0, 0), (20, 0), (10, 1)):
            clock.us += wait_s * 1_000_000
            one = alerting(storage, receiver, clock)
            one.alerts = (msgspec.structs.replace(one.alerts[0], for_s=30.0),)
            await one.look(http)
            assert len(receiver.calls) == calls


async def test_a_receiver_that_is_away_holds_nothing_else(tmp_path: Path) -> None:
    """Nothing listens there: the reason is shown, and evaluation goes on."""
    async with (
        await open_storage("sqlite:///r.db", tmp_path) as storage,
        receiving() as receiver,
        ClientSession() as http,
    ):
        clock = Clock()
        await storage.commit(make_batch(*(make_record(n, status=500) for n in range(2))))
        receiver.url = "http://127.0.0.1:9/"
        one = alerting(storage, receiver, clock)
        await one.look(http)
        shown = await one.describe()
        problem = shown["waiting"][0]["problem"]
        assert problem == "cannot connect to 127.0.0.1:9: Connection refused"
        assert shown["alerts"][0]["firing"][""]["value"] == 2


class _Failing:
    """A store that goes away after some writes."""

    def __init__(self, storage: Storage, writes: int) -> None:
        self.storage = storage
        self.writes = writes

    def __getattr__(self, name: str) -> Any:
        return getattr(self.storage, name)

    async def put_meta(self, name: str, value: str, *, replace: bool) -> str:
        """Fail once the writes are used up."""
        if not self.writes:
            raise StorageUnavailable("away")
        self.writes -= 1
        return await self.storage.put_meta(name, value, replace=replace)


@pytest.mark.parametrize(("writes", "calls"), [(0, 1), (1, 2), (2, 1)])
async def test_what_dies_between_two_steps_sends_nothing_unstored_and_loses_nothing(
    tmp_path: Path, writes: int, calls: int
) -> None:
    """Nothing is sent before the state is stored. A kill behind the call repeats it under its id."""
    async with (
        await open_storage("sqlite:///r.db", tmp_path) as storage,
        receiving() as receiver,
        ClientSession() as http,
    ):
        clock = Clock()
        await storage.commit(make_batch(*(make_record(n, status=500) for n in range(2))))

        dying = alerting(_Failing(storage, writes), receiver, clock)
        try:
            await dying.look(http)
        except StorageUnavailable:
            assert receiver.got == []

        clock.us += 1_000_000
        await alerting(storage, receiver, clock).look(http)
        assert [kind for _, kind in receiver.got] == ["alert.firing"] * calls
        assert len({name for name, _ in receiver.got}) == 1


async def test_of_many_one_evaluates(tmp_path: Path) -> None:
    """When it is gone, another takes the lease and goes on with its state."""
    async with (
        await open_storage("sqlite:///r.db", tmp_path) as storage,
        receiving() as receiver,
        ClientSession() as http,
    ):
        clock = Clock()
        await storage.commit(make_batch(*(make_record(n, status=500) for n in range(2))))
        fleet = [alerting(storage, receiver, clock, name) for name in ("one", "two", "three")]
        for each in fleet:
            each.is_shared = True
        for _ in range(4):
            for each in fleet:
                await each.look(http)
            clock.us += 1_000_000

        evaluator = (await fleet[0].describe())["evaluator"]
        assert len(receiver.got) == 1
        others = [each for each in fleet if each.instance != evaluator]
        clock.us += round((LEASE_S + 61) * 1e6)

        for _ in range(3):
            for each in others:
                await each.look(http)
            clock.us += 1_000_000

        assert [kind for _, kind in receiver.got] == ["alert.firing", "alert.resolved"]


async def test_an_alert_is_silenced_and_tested_by_its_name(tmp_path: Path) -> None:
    """A test message says that it is one and changes nothing. A silenced alert sends nothing until
    the silence is over.
    """
    async with (
        await open_storage("sqlite:///r.db", tmp_path) as storage,
        receiving() as receiver,
        ClientSession() as http,
    ):
        clock = Clock()
        one = alerting(storage, receiver, clock)
        await one.silence("failures", 5)
        await storage.commit(make_batch(*(make_record(n, status=500) for n in range(2))))
        await one.look(http)
        assert receiver.got == []
        found = await one.test("failures")
        assert (found["values"], found["problem"]) == ({"": 2}, None)
        assert [kind for _, kind in receiver.got] == ["alert.test"]
        clock.us += 6_000_000
        await one.look(http)
        assert [kind for _, kind in receiver.got] == ["alert.test", "alert.firing"]
        with pytest.raises(Refused):
            await one.test("nothing")
        with pytest.raises(Refused):
            await one.silence("nothing", 1)
