"""A parameter is a term of the search language: both are asked of one store, and find the same."""

import pytest

from storage.search.language.parameters import PARAMETERS
from tests.api.conftest import BEARER, Client, World, ask
from tests.support.answers import entries

RECORDS = 300
SAME = (
    ("status", "404,5xx", "status:404,5xx"),
    ("status", ">=500", "status:>=500"),
    ("status", "500..599", "status:500..599"),
    ("method", "get,BREW", "method:GET,BREW"),
    ("host", "b.test,none", "host:b.test,none"),
    ("endpoint", "/users/{id}", "endpoint:/users/{id}"),
    ("route", "r0,r2", "route:r0,r2"),
    ("service", "s1", "service:s1"),
    ("project", "p1,no", "project:p1 or project:no"),
    ("container", "c1", "container:c1"),
    ("client", "acme", "client:acme"),
    ("key", "k1,k2", "key:k1,k2"),
    ("level", "info", "level:info"),
    ("level", ">=warn", "level:warn,error"),
    ("source", "edge", "source:edge"),
    ("direction", "out", "direction:out"),
    ("outcome", "rejected,client_closed", "outcome:rejected,client_closed"),
    ("outcome", "client disconnected", "outcome:client_closed"),
    ("error_type", "boom,http_404", "error:boom,http_404"),
    ("request_id", "request-7,request-8", "request_id:request-7,request-8"),
    ("client_ip", "10.0.0.0/8,::1", "ip:10.0.0.0/8,::1"),
    ("provider", "openai", "provider:openai"),
    ("model", "gpt", "model:gpt"),
    ("finish_reason", "stop", "finish_reason:stop"),
    ("called_tool", "sub", "called_tool:sub"),
    ("tool_error", "add", "tool_error:add"),
    ("tool", "add", "tool:add"),
    ("grpc_status", "!OK", "grpc_status:!OK"),
    ("redacted", "Name:Key", "redacted:name:key"),
    ("conversation", "00000000-0000-0000-0000-000000000001", "conversation:00000000-0000-0000-0000-000000000001"),
    ("since", "2024-06-14T00:00:00Z", "since:2024-06-14T00:00:00Z"),
    ("until", "2024-06-14T00:00:00Z", "until:2024-06-14T00:00:00Z"),
    ("kind", "event", "kind:event"),
    ("kind", "all", "kind:exchange,event"),
    ("path", "users/1", "path:users/1"),
    ("path", "caf\u00e9", "path:caf\u00e9"),
    ("trace_id", "0AF76519-16CD43DD8448EB211C800007", "trace:0af76519-16cd43dd8448eb211c800007"),
    ("trace_id", "0af7651916cd43dd8448eb211c800007", "trace:0AF7651916CD43DD8448EB211C800007"),
    ("user_agent", "CURL", "ua:curl"),
    ("header", "x-a: 1", "header.x-a:1"),
    ("header", "X-A:", "header.x-a:*"),
    ("q", "a need", "*\"a need\"*"),
    ("q", "a need", 'q:"a need"'),
    ("min_latency_ms", "700", "duration:>=700ms"),
    ("min_latency_ms", "700", "min_latency_ms:700"),
    ("max_latency_ms", "60", "duration:<=60ms"),
)  # fmt: skip
"""Parameter, its value, and the search that asks for the same."""
LITERAL = (
    ("path", "/users/*"), ("path", "/X?"), ("model", "g*"), ("host", "*.test"), ("client", "203.0.113.42"),
    ("user_agent", '=curl/8"'), ("q", "*needle*"), ("redacted", "*"),
)  # fmt: skip
"""Values that a search would read as more than text: as a parameter they are what they say."""
REFUSED = (
    ("status", "404,6xx", "6xx"), ("method", "get,pots", "POTS"), ("level", "loud", "loud"), ("source", "side", "side"),
    ("kind", "request", "request"), ("outcome", "bad", "bad"), ("client_ip", "10.0.0", "10.0.0"),
    ("grpc_status", "FINE", "FINE"), ("since", "tomorrow", "tomorrow"), ("until", "5y", "5y"), ("header", "x-a", "x-a"),
    ("min_latency_ms", "1.5", "1.5"), ("max_latency_ms", "9223372036854776", "9223372036854776"),
)  # fmt: skip


@pytest.fixture
async def asked(world: World, client: Client) -> Client:
    """The API over records with mixed values."""
    await world.store(*entries(RECORDS))
    return client


async def found_by(client: Client, /, **parameters: str) -> list[str]:
    return [record["id"] for record in (await ask(client, **parameters, limit="1000"))["records"]]


async def test_each_parameter_finds_what_its_term_finds(asked: Client) -> None:
    """Each of them is here; most find some records and leave some out."""
    assert {name for name, _, _ in SAME} == set(PARAMETERS)
    everything = set(await found_by(asked, kind="all"))
    telling = set()
    for name, value, search in SAME:
        by_parameter = await found_by(asked, **{name: value})
        assert by_parameter == await found_by(asked, query=search), (name, value)
        if 0 < len(by_parameter) < len(everything):
            telling.add(name)

    assert set(PARAMETERS) - telling == {"grpc_status"}  # no record here is a gRPC call


async def test_a_value_is_text_as_between_quotes(asked: Client) -> None:
    """A program may put in what it has: no star is a pattern, and no name is an address."""
    for name, value in LITERAL:
        assert await found_by(asked, **{name: value}) == [], (name, value)
    assert await found_by(asked, model="gpt") != []


async def test_what_is_not_a_value_is_refused_by_its_name(asked: Client) -> None:
    """By the parameter, and by the term, which says the same."""
    for name, value, named in REFUSED:
        response = await asked.get("/api/records", params={name: value}, headers=BEARER)
        problem = await response.json()
        assert (response.status, problem["parameter"], problem["value"]) == (400, name, named)
        assert problem["detail"].startswith(f"{name} is {named!r}, expected ")
        if name != "header":
            response = await asked.get(
                "/api/records", params={"query": f"{name}:{value}"}, headers=BEARER
            )
            assert response.status == 400
            assert repr(named) in (await response.json())["detail"]


async def test_what_is_not_an_id_is_of_no_conversation(asked: Client) -> None:
    """Ids come from other programs: an unknown one finds nothing."""
    assert await found_by(asked, conversation="none") == []
