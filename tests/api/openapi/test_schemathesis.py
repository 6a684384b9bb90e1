"""The whole admin port, judged by schemathesis from `/openapi.json`: a real server over a filled
store.

All phases and all checks: no server error, no status, media type, header or body that is not
described, nothing refused that the description allows, nothing accepted that it forbids, nothing
answered without a token. Streams never end and are left to `test_streams.py`.
"""

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp.test_utils import TestServer
from multidict import MultiDict

from api.access.stream_limits import StreamLimits
from api.app import make_app
from api.compare.ignored import read_places
from api.http.errors import Refused
from api.http.params import read_filter
from api.routes import routes
from storage.backends import open_storage
from storage.record import format_id
from tests.api.conftest import BEARER, World
from tests.api.filled import fill
from tests.api.samples import make_record

if TYPE_CHECKING:
    from schemathesis.config import SchemathesisConfig

MAX_LINE_BYTES = 8190
"""aiohttp refuses longer request lines before there is a path whose dialect could word it."""
PHASES = {"examples", "coverage", "fuzzing", "stateful"}
IDS = {
    "id": format_id(make_record(1).id),
    "a": format_id(make_record(1).id),
    "b": format_id(make_record(2).id),
    "requestId": format_id(make_record(1).id),
    "clientId": "acme",
    "proxyId": "default",
    "name": "app.js",
}
"""Of what the store holds, for the paths."""
OF_TOOLS = {"by", "since", "until", "key", "tool", "limit", "before", "buckets", "sort"}
"""Parameters that calls of tools can be counted with."""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A server on a thread of its own, for the judge keeps this one busy."""
    ready = threading.Event()
    ended = threading.Event()
    found: list[str] = []

    async def serve() -> None:
        async with await open_storage("sqlite:///records.db", tmp_path) as storage:
            world = World(storage, limits=StreamLimits(0))
            await fill(world)
            async with TestServer(make_app(world.services())) as server:
                found.append(str(server.make_url("")).rstrip("/"))
                ready.set()
                await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="admin")
    thread.start()
    assert ready.wait(60)
    yield found[0]
    ended.set()
    thread.join()


def configure(max_examples: int) -> "SchemathesisConfig":
    """Judge everything, the same way each time."""
    # Not at the top: every run would pay for it when it collects.
    from schemathesis.config import SchemathesisConfig

    return SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "headers": BEARER,
            "continue-on-failure": True,
            "request-timeout": 120,
            "suppress-health-check": ["all"],
            "generation": {
                "max-examples": max_examples,
                "deterministic": True,
                "database": "none",
                "no-shrink": True,
            },
            "phases": {"stateful": {"max-steps": 6}},
        }
    )


def is_allowed(case: Any) -> bool:
    """Tell whether a case keeps to the rules that a schema cannot say, and the notes of the
    operations do.
    """
    query = case.query or {}
    return (
        len(url_of(case)) <= MAX_LINE_BYTES
        and is_sent(query)
        and is_consistent(case.path, query)
        and has_grammar(query, case.body)
        and (case.method != "DELETE" or case.path != "/api/records" or is_erasure(query))
    )


def url_of(case: Any) -> str:
    """Write the URL of a case as it is sent."""
    # Not at the top, as in `configure`.
    import requests

    sent = case.as_transport_kwargs(base_url="http://x")
    return str(requests.Request(case.method, sent["url"], params=sent.get("params")).prepare().url)


def is_sent(query: Mapping[str, Any]) -> bool:
    """Tell whether all values reach the server: of an empty list nothing is sent, and what is no
    list is sent as a text, which is a list of one.
    """
    return not any(isinstance(value, dict) or value == [] for value in query.values())


def is_consistent(path: str, query: Mapping[str, Any]) -> bool:
    """Tell whether parameters hold together."""
    if path in ("/api/histogram", "/api/heatmap") and query.get("until"):
        return False  # `since` before `until`
    if is_backward(query):
        return False  # `since` before `until`
    if query.get("cursor") and query.get("order"):
        return False  # the order of the cursor
    is_marked = str(query.get("bom")).lower() in ("true", "1", "yes")
    if is_marked and query.get("format") != "csv":
        return False  # a byte order mark is for CSV
    has_steps = re.fullmatch("0*[1-9][0-9]*", str(query.get("buckets")), re.ASCII)
    if has_steps and not query.get("since"):
        return False  # steps of a range of time
    return not (path == "/api/top" and query.get("by") == "tool" and query.keys() - OF_TOOLS)


def is_backward(query: Mapping[str, Any]) -> bool:
    """Tell whether a period ends before it begins, with a beginning and an end that can be read."""
    bounds = {name: str(query[name]) for name in ("since", "until") if query.get(name)}
    return (
        len(bounds) == 2
        and all(is_readable(name, text) for name, text in bounds.items())
        and not can_read(bounds)
    )


def has_grammar(query: Mapping[str, Any], body: Any) -> bool:
    """Tell whether searches, addresses and places can be read: they have grammars of their own."""
    if any(
        query.get(name) and not is_readable(name, query[name]) for name in ("query", "client_ip")
    ):
        return False
    if not all(text == "" or is_place(text) for text in _texts(query.get("ignore", []))):
        return False
    search = body.get("query") if isinstance(body, dict) else None
    return not isinstance(search, str) or not search.strip() or is_readable("query", search)


def is_erasure(query: Mapping[str, Any]) -> bool:
    """Tell whether there is at least one filter that says something, and none that is empty."""
    filters = {name: _texts(value) for name, value in query.items() if name != "wait_s"}
    return "client" in filters and all(
        "".join(texts).replace(",", "").strip() for texts in filters.values()
    )


def _texts(value: Any) -> list[str]:
    return [str(text) for text in (value if isinstance(value, list | tuple) else [value])]


def is_readable(name: str, value: Any) -> bool:
    """Tell whether a value of a filter can be read."""
    return can_read(MultiDict([(name, text) for text in _texts(value)]))


def can_read(query: Mapping[str, str]) -> bool:
    try:
        read_filter(MultiDict(query), 0)
    except Refused:
        return False
    return True


def is_place(text: str) -> bool:
    """Tell whether a place can be read."""
    try:
        read_places([text])
    except ValueError:
        return False
    return True


class Sample:
    """Of an operation with many cases of coverage the first, then one in so many.

    Operations with the same filter have much the same cases, hundreds each. Which are taken begins
    elsewhere with each operation, so that together they have most of them.
    """

    FIRST = 10

    def __init__(self, one_in: int) -> None:
        """Prepare; `one_in` 1 leaves nothing out."""
        self._one_in = one_in
        self._cases: Counter[str] = Counter()

    def has(self, case: Any) -> bool:
        """Tell whether a case is taken."""
        if case.meta is None or case.meta.phase.name.value != "coverage":
            return True
        self._cases[case.operation.label] += 1
        number = self._cases[case.operation.label]
        return number <= self.FIRST or (number + len(self._cases)) % self._one_in == 0


def run(address: str, max_examples: int, one_in: int = 1) -> tuple[set[str], dict[str, int]]:
    """Judge the server; answers what was found, and how many scenarios each phase had."""
    import schemathesis
    from schemathesis.engine import Status, events, from_schema

    document = schemathesis.openapi.from_url(
        f"{address}/openapi.json", config=configure(max_examples)
    )
    schema = document.exclude(path_regex="/(_logs|records)/stream$")
    sample = Sample(one_in)

    @schema.hook("map_path_parameters")
    def know_ids(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
        # Every second generated id becomes one there is, decided by the id itself.
        if path_parameters is None:
            return None
        return {
            name: IDS[name] if name in IDS and len(str(value)) % 2 == 0 else value
            for name, value in path_parameters.items()
        }

    @schema.hook
    def filter_case(context: Any, case: Any) -> bool:
        return is_allowed(case) and sample.has(case)

    problems: set[str] = set()
    scenarios: dict[str, int] = {}
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished) and event.status is not Status.SKIP:
            scenarios[event.phase.value] = scenarios.get(event.phase.value, 0) + 1
            for checks in event.recorder.checks.values():
                for check in checks:
                    if check.failure_info is not None:
                        found = check.failure_info
                        problems.add(
                            f"{event.recorder.label}: {found.failure}\n{found.code_sample}"
                        )
        elif isinstance(event, events.NonFatalError | events.FatalError):
            problems.add(repr(event))

    return problems, scenarios


@pytest.mark.long
@pytest.mark.filterwarnings("default")  # the judge's own
def test_nothing_the_description_does_not_say(address: str) -> None:
    """Some values of everything, in all phases: those that operations have in common at one of
    them.
    """
    problems, scenarios = run(address, max_examples=2, one_in=10)
    assert problems == set()
    assert scenarios.keys() == PHASES
    judged = [route for route in routes() if not route.path.endswith(("/stream", "/openapi.json"))]
    assert scenarios["coverage"] == scenarios["fuzzing"] == len(judged)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("default")
def test_nothing_the_description_does_not_say_at_length(address: str) -> None:
    """Many values of everything."""
    problems, _ = run(address, max_examples=400)
    assert problems == set()
