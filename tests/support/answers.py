"""Answers of all APIs to generated questions, to compare two versions of the program over the same
store.

    python -m tests.support.answers sqlite /tmp/before.json     # in the one tree
    python -m tests.support.answers sqlite /tmp/after.json      # in the other
    python -m tests.support.answers compare /tmp/before.json /tmp/after.json

Strategy: records, questions and the clock are the same in each run, and questions are asked through
HTTP, so that nothing inside has to be alike. The stores are those of `tests.contract.backends`.
"""

import asyncio
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from aiohttp.test_utils import TestClient, TestServer

from api.access.auth import token_digest
from api.access.principal import Credential, Principal
from api.app import make_app
from storage.base import Storage
from storage.query import Scope
from storage.record import Batch, Entry, Outcome, Stream
from storage.relational.reads import aggregate, facets, histogram
from tests.api.conftest import TOKEN, World
from tests.api.samples import (
    START_US,
    make_body,
    make_event,
    make_in_flight,
    make_payload,
    make_record,
    make_tool_call,
)
from tests.contract.backends import BACKENDS

RECORDS: Final = 5600
QUESTIONS: Final = 90
HOURS: Final = 80
READER: Final = "reader-token"
SCOPES: Final = {TOKEN: "all", READER: "scoped"}

_VALUES: Final[dict[str, list[str]]] = {
    "status": ["404", "5xx", "200,4xx", "500,503,2xx", "600..999"], "method": ["GET", "post,PUT", "BREW", "BREW,GET"],
    "host": ["a.test", "b.test,none"], "path": ["users/1", "caf\u00e9", "%", "/X"], "route": ["r1", "r0,r2", "no"],
    "service": ["s1", "s0,s3"], "endpoint": ["/users/{id}", "/users/{id},/x"], "project": ["p1", "p0,p2", "no"],
    "container": ["c1", "c0,c1"], "client": ["acme", "other"], "key": ["k1", "k0,k2"],
    "level": ["error", "warn,error", "info,debug"], "source": ["edge", "backend,edge"],
    "direction": ["out", "in,out"],
    "outcome": ["ok", "rejected,client_closed"], "error_type": ["boom", "http_404", "rejected,boom"],
    "provider": ["openai", "openai,anthropic"], "model": ["gpt", "gpt,claude"], "finish_reason": ["stop", "length,no"],
    "redacted": ["github-token", "name:key,no"], "tool_error": ["add", "sub,no"],
    "called_tool": ["add", "add,sub"], "tool": ["add", "sub,no"], "kind": ["exchange", "event", "all"],
    "trace_id": ["0af7651916cd43dd8448eb211c8031a1", "no"], "min_latency_ms": ["0", "50", "700"],
    "max_latency_ms": ["60", "900"], "since": ["2024-06-13T00:00:00Z", "2024-06-12T20:10:07Z", "1d"],
    "until": ["2024-06-14T01:00:00Z", "2024-06-14T03:30:01Z"], "q": ["needle", "users/1", "zzz"],
    "user_agent": ["curl", "moz"], "header": ["x-a:1", "x-a"], "client_ip": ["10.0.0.0/8", "203.0.113.42,::1"],
    "request_id": ["request-7", "request-7,request-8"], "conversation": ["00000000-0000-0000-0000-000000000001", "no"],
}  # fmt: skip
_TERMS: Final = [
    *(
        "status:404", "status:5xx", "status:>=400", "status:404,5xx", "-status:2xx", "method:GET", "method:B*",
        "path:users",
    ),
    *(
        "path:/users/*", "path:caf\u00e9", "host:a.test", "host:*.test", "endpoint:/users/{id}", "endpoint:*",
        "route:r1",
    ),
    *(
        "-route:r1", "service:s1", "service:s*", "-service:s1", "project:p1", "-project:p1", "container:c1",
        "client:acme",
    ),
    *(
        "key:k1", "key:*", "-key:*", "level:>=warn", "level:error", "kind:event", "kind:all", "source:edge",
        "direction:out",
        "outcome:ok",
    ),
    *("error:boom", "error:http_4*", "error:*", "duration:>500ms", "duration:10ms..60ms", "ttfb:<50ms", "bytes:>400"),
    *("provider:openai", "provider:*", "model:gpt", "model:g*", "-model:*", "tokens:>100", "cost:>0.001", "tool:add"),
    *("redacted:github-token", "-redacted:*", "redacted:name:*", "tool_error:add", "message:gone*", "-message:*"),
    *("called_tool:add", "called_tool:*", "finish_reason:stop", "needle", '"a needle"', "*eedl*", "zzz", "-needle"),
    *("body.id:7", "body.kind:odd", "-body.kind:odd", "header.x-a:1", "ip:10.0.0.0/8", "request_id:request-1*"),
    *(
        "trace:0af7651916cd43dd8448eb211c8031a1",
        "since:2024-06-13",
        "until:2024-06-14",
        "stage:production",
        "instance:side-1",
    ),
    *("user:u1", "requested_model:gpt", "resolved_model:gpt", "conversation:00000000-0000-0000-0000-000000000001"),
]  # fmt: skip
_GROUPS: Final = (
    *(
        "endpoint",
        "path",
        "client_ip",
        "user_agent",
        "key",
        "status",
        "host",
        "model",
        "route",
        "service",
        "project",
    ),
    *(
        "client",
        "container",
        "user",
        "method",
        "outcome",
        "error",
        "failure",
        "message",
        "provider",
        "instance",
        "tool",
    ),
)
_DIALECTS: Final = [
    *(f"/v1/requests?{each}" for each in ("limit=5", "project_id=p1&offset=3", "llm_only=true", "max_seq=4000")),
    *(
        f"/api/proxy-logs/_logs?{each}"
        for each in ("limit=5", "order=desc&offset=71", "projectId=p1&level=error", "containerId=c1&method=get,post",
            "serviceName=s1,s2&source=edge", "kind=event&limit=9", "kind=request&offset=13", "last=4", "afterId=900",
            "includeRequestBody=true&limit=3", "kind=request,event&level=warn,error&offset=5", "projectId=no")
    ),
    "/api/proxy-logs/_logs/stats",
    *(
        f"/api/request-logs?{each}"
        for each in ("", "status=failed", "status=success&limit=3", "key=k1", "endpoint=users", "endpoint=caf%C3%A9")
    ),
    *(
        f"/api/clients/acme/proxies/{each}"
        for each in ("r1/requests?limit=4", "r0/requests?processedAfter=2024-06-13T00:00:00Z", "no/requests",
            "r2/requests?processedBefore=2024-06-13T12:00:00Z&limit=2")
    ),
    *(
        f"/api/mcp-logs{each}"
        for each in ("?limit=4", "?tool_names=add", "?status=error&sort_by=latency", "?content_search=an", "/stats",
            "/stats?tool_names=sub&min_latency=5", "/filterdata", "?virtual_key_ids=k1&order=asc")
    ),
]  # fmt: skip


def entries(records: int) -> Iterator[Entry]:
    """Make records whose values are mixed, always the same."""
    chance = random.Random(61)
    step_us = HOURS * 3_600_000_000 // records
    for number in range(records):
        started_at_us = START_US + number * step_us + chance.randrange(step_us)
        place: dict[str, Any] = {
            "project": chance.choice([None, "p0", "p1", "p2"]), "container": chance.choice([None, "c0", "c1"]),
            "client": chance.choice([None, "acme", "acme", "other"]), "service": f"s{chance.randrange(5)}",
            "route_id": chance.choice([None, "r0", "r1", "r2"]), "key_id": chance.choice([None, "k0", "k1", "k2"]),
            "host": chance.choice([None, "a.test", "b.test"]), "source": chance.choice(["edge", "backend"]),
            "user_id": chance.choice([None, "u0", "u1"]), "stage": chance.choice([None, "production"]),
            "started_at_us": started_at_us, "user_agent": chance.choice([None, "curl/8", "Mozilla/5.0"]),
            "conversation": chance.choice([None, None, bytes(15) + bytes([chance.randrange(9)])]),
            "client_ip": chance.choice(["203.0.113.42", f"10.0.0.{chance.randrange(9)}", "::1"]),
        }  # fmt: skip
        if chance.random() < 0.1:
            yield Entry(
                make_event(number, **place, data=b'{"text": "a needle"}' if number % 3 else b"{}")
            )
            continue

        yield _exchange(chance, number, place)


def _exchange(chance: random.Random, number: int, place: dict[str, Any]) -> Entry:
    duration_us = chance.randrange(1_000_000)
    call: dict[str, Any] = {}
    if chance.random() < 0.2:
        call = {
            "provider": chance.choice([None, "openai", "anthropic"]), "model": chance.choice([None, "gpt", "claude"]),
            "resolved_model": chance.choice([None, "gpt", "gpt-2"]), "input_tokens": chance.choice([None, 7, 200]),
            "output_tokens": chance.choice([None, 9]), "cost_usd": chance.choice([None, 0.004]), "usage_state": "exact",
            "stream": Stream(
                first_content_us=1, frames=2, longest_gap_us=None, finished=True,
                finish_reason=chance.choice([None, "stop", "length"]),
                tools=chance.choice([None, ["add"], ["add", "sub"]]),
                failed_tools=chance.choice([None, None, ["add", "add"]]),
            ),
        }  # fmt: skip

    path = chance.choice(["/users/{}", "/users/1{}", "/caf%C3%A9", "/X"]).format(number % 40)
    record = make_record(
        number, **place, **call, path=path, duration_us=duration_us, ended_at_us=place["started_at_us"] + duration_us,
        status=chance.choice([None, 200, 200, 201, 302, 404, 404, 500, 503]),
        outcome=chance.choice(["ok", "ok", "ok", Outcome.REJECTED.value, Outcome.CLIENT_CLOSED.value]),
        error_type=chance.choice([None, None, None, "boom", "bang"]), keyed=chance.random() < 0.5,
        method=chance.choice(["GET", "GET", "POST", "PUT", "BREW"]),
        first_byte_us=chance.choice([None, duration_us // 2]),
        endpoint="/users/{id}" if path.startswith("/users") else "/x", direction="in" if number % 7 else "out",
        trace_id=f"0af7651916cd43dd8448eb211c80{number % 4096:04x}" if number % 3 else None,
        redactions=(None, {"github-token": 1}, None, {"name:key": 2, "github-token": 1})[number % 4],
        message=chance.choice([None, None, None, "gone since …", "boom"]),
    )  # fmt: skip
    kind = chance.choice(["odd", "even"])
    word = "a needle" if number % 5 else ""
    text = f'{{"id": {number % 50}, "kind": "{kind}", "text": "{word}"}}'
    payload = make_payload(make_body(text.encode()), make_body(b"\xff\x00")) if number % 2 else None
    calls = []

    if number % 11 == 0:
        changes = {
            "record_id": record.id,
            "started_at_us": record.started_at_us,
            "project": record.project,
        }
        calls = [
            make_tool_call(
                number, **changes, tool_name=chance.choice(["add", "sub"]), key_id=record.key_id
            )
        ]

    return Entry(record, payload, calls)


def questions() -> Iterator[str]:
    """List what is asked: each filter by itself, each term, and some together."""
    chance = random.Random(62)
    filters = [{name: value} for name, values in _VALUES.items() for value in values]
    filters += [{"query": term} for term in _TERMS]

    for _ in range(QUESTIONS):
        names = chance.sample(sorted(_VALUES), chance.choice([0, 1, 1, 2, 3]))
        filter = {name: chance.choice(_VALUES[name]) for name in names}

        terms = chance.sample(_TERMS, chance.choice([0, 1, 2, 3]))
        if terms:
            joint = chance.choice([" ", " ", " or "])
            filter["query"] = (
                joint.join(terms) if chance.random() < 0.8 else f"-({' or '.join(terms)})"
            )

        filters.append(filter)

    yield from _DIALECTS
    yield from (
        "/api/export?level=error&format=csv&fields=path,status",
        "/api/top?by=body.kind&service=s1&method=PUT",
    )
    for filter in [{}, *filters]:
        yield from _asked(chance, urlencode(filter, quote_via=quote))


def _asked(chance: random.Random, query: str) -> Iterator[str]:
    yield f"/api/records?{query}&limit=5&order={chance.choice(['asc', 'desc'])}&in_flight=true"
    yield f"/api/facets?{query}"
    yield f"/api/summary?{query}"
    yield f"/api/histogram?{query}&buckets={chance.choice([3, 40])}"
    yield f"/api/heatmap?{query}&columns=4&rows=6"
    yield f"/api/top?{query}&limit=6&before=true&by={chance.choice(_GROUPS)}"
    since = "" if "since=" in query else "&since=2024-06-13T01:00:00Z"
    yield f"/api/top?{query}{since}&limit=6&buckets=7&by={chance.choice(_GROUPS)}"
    yield f"/api/conversations?{query}&limit=3"


async def answers(storage: Storage, records: int = RECORDS, one_in: int = 1) -> dict[str, str]:
    """Fill a store, and ask everything, or one question in some, of an application over it."""
    for module, name in ((aggregate, "_FIND_S"), (facets, "_SAMPLE_S")):
        setattr(module, name, 60.0)  # however busy the machine is
    histogram.MAX_SCAN_ROWS_IN_HOURS = 2000  # type: ignore[misc]
    found = list(entries(records))
    for start in range(0, len(found), 500):
        await storage.commit(Batch("side-1", found[start : start + 500]))
    while not (await storage.index_text()).is_done:
        pass
    scope = Scope(projects=("p0", "p1"), clients=("acme",))
    world = World(
        storage,
        credentials=[Credential(token_digest(READER), Principal("reader", "reader", scope))],
    )
    world.in_flight = [
        make_in_flight(records + 1, project="p1"),
        make_in_flight(records + 2, route_id="r1"),
    ]
    services = replace(world.services(), now_us=lambda: START_US + HOURS * 3_600_000_000)
    asked: dict[str, str] = {}

    async with TestClient(TestServer(make_app(services))) as client:
        for token, name in SCOPES.items():
            for path in list(questions())[:: one_in * (1 if token == TOKEN else 4)]:
                async with client.get(
                    path, headers={"Authorization": f"Bearer {token}"}
                ) as response:
                    asked[f"{name} {path}"] = f"{response.status} {await response.text()}"

    return asked


async def _record(backend: str, to: Path) -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with await next(each for each in BACKENDS if each.name == backend).open(
            Path(directory)
        ) as storage:
            to.write_text(json.dumps(await answers(storage), indent=0))  # noqa: ASYNC240 -- nothing else runs on the loop


def differing(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """List the questions whose answers differ."""
    return [asked for asked in before | after if before.get(asked) != after.get(asked)]


if __name__ == "__main__":
    command, *paths = sys.argv[1:]
    if command == "compare":
        one, other = (json.loads(Path(path).read_text()) for path in paths)
        different = differing(one, other)
        for asked in different:
            print(asked, one.get(asked, "")[:1500], other.get(asked, "")[:1500], sep="\n    ")  # noqa: T201
        print(f"{len(one)} answers, {len(different)} differ")  # noqa: T201
    else:
        asyncio.run(_record(command, Path(paths[0])))
