"""What the fields of a record are called by OpenTelemetry."""

import msgspec

from proxy.otel.attributes import (
    MAX_CHARACTERS,
    encode_attributes,
    error_type,
    event_attributes,
    exchange_attributes,
    operation_of,
    resource_attributes,
)
from storage.grpc import Grpc
from storage.record import Record, Stream, format_id
from tests.storage.samples import make_record
from tests.support.cases import each_of
from tests.support.otlp import KeyValue, plain


def test_values_are_written_with_their_types() -> None:
    """Integers as text, as proto3 has int64; None not at all; texts cut, and without halves of
    surrogate pairs.
    """
    written = msgspec.json.encode(
        encode_attributes(
            {
                "a": "x",
                "b": 1 << 60,
                "c": 0.5,
                "d": ["p", "q"],
                "e": None,
                "f": "é" * 9000,
                "g": "\ud800",
            }
        )
    )
    read = plain(msgspec.json.decode(written, type=list[KeyValue]))
    assert read == {
        "a": "x",
        "b": 1 << 60,
        "c": 0.5,
        "d": ["p", "q"],
        "f": "é" * MAX_CHARACTERS,
        "g": "?",
    }
    assert b'"intValue":"1152921504606846976"' in written


def test_an_outgoing_call_has_its_url() -> None:
    """The template is one of a client, not of a route of ours."""
    record = make_record(
        direction="out", scheme="https", host="api.a.test:8443", path="/items/7", query="a=1",
        endpoint="api.a.test:8443/items/{id}",
    )  # fmt: skip
    told = exchange_attributes(record)
    assert told["url.full"] == "https://api.a.test:8443/items/7?a=1"
    assert told["url.template"] == "api.a.test:8443/items/{id}"
    assert (told["server.address"], told["server.port"]) == ("api.a.test", 8443)
    assert told["http.route"] is None


def test_an_exchange_has_the_names_of_http() -> None:
    """Those that are not known are left out."""
    record = make_record(
        method="GET", scheme="https", host="shop.example:8443", path="/items/7", query="a=1", status=404,
        endpoint="/items/{id}", client_ip="10.0.0.9", http_version="1.1", user_agent="curl/8", request_bytes=0,
        response_bytes=12, user_id="u-1", outcome="ok", error_type=None, upstream_us=1500, connect_us=None,
    )  # fmt: skip
    told = {key: value for key, value in exchange_attributes(record).items() if value is not None}
    http = {key: value for key, value in told.items() if not key.startswith("sidelog.")}
    assert http == {
        "http.request.method": "GET", "url.scheme": "https", "url.path": "/items/7", "url.query": "a=1",
        "http.route": "/items/{id}", "http.response.status_code": 404, "server.address": "shop.example",
        "server.port": 8443, "client.address": "10.0.0.9", "network.protocol.name": "http",
        "network.protocol.version": "1.1", "user_agent.original": "curl/8", "http.request.body.size": 0,
        "http.response.body.size": 12, "user.id": "u-1",
    }  # fmt: skip
    assert told["sidelog.record.id"] == format_id(record.id)
    assert told["sidelog.upstream.duration_s"] == 0.0015
    assert "sidelog.upstream.connect_s" not in told


def test_an_exchange_says_which_rules_took_something_out() -> None:
    """And not what it was."""
    shown = exchange_attributes(make_record(redactions={"github-token": 1, "name:password": 2}))
    assert shown["sidelog.redactions"] == ["github-token", "name:password"]
    assert exchange_attributes(make_record())["sidelog.redactions"] is None


def test_a_method_nobody_knows_is_other() -> None:
    """Its own name stands beside it: names of spans stay few."""
    told = exchange_attributes(make_record(method="BREW"))
    assert (told["http.request.method"], told["http.request.method_original"]) == ("_OTHER", "BREW")
    assert exchange_attributes(make_record(method=None))["http.request.method"] is None


@each_of(
    ("host", "address", "port"),
    [
        ("a.example", "a.example", None), ("a.example:80", "a.example", 80), ("[::1]:8080", "::1", 8080),
        ("[::1]", "::1", None), ("a:b", "a:b", None), ("", None, None), (None, None, None),
    ],
)  # fmt: skip
def test_the_host_is_split(host: str | None, address: str | None, port: int | None) -> None:
    """Into name and port, where there is one."""
    told = exchange_attributes(make_record(host=host))
    assert (told["server.address"], told["server.port"]) == (address, port)


@each_of(
    ("changes", "expected"),
    [
        ({"status": 200}, None),
        ({"status": 404}, None),
        ({"status": 503}, "503"),
        ({"status": 429, "error_type": "rate_limit"}, "rate_limit"),
        ({"status": 502, "outcome": "upstream_error"}, "upstream_error"),
        ({"status": 413, "outcome": "rejected"}, None),
        ({"status": None, "outcome": "client_closed"}, "client_closed"),
    ],
)
def test_errors_have_a_type(changes: dict[str, object], expected: str | None) -> None:
    """The code of the error, else how the exchange ended, else a status that is an error of the
    server.
    """
    given: dict[str, object] = {"error_type": None, "outcome": "ok", **changes}
    assert error_type(make_record(**given)) == expected


def call(**changes: object) -> Record:
    """An LLM call."""
    given: dict[str, object] = {
        "path": "/v1/chat/completions",
        "provider": "openai",
        "model": "gpt",
        **changes,
    }
    return make_record(**given)


def test_an_llm_call_has_the_names_of_genai() -> None:
    """Tokens that are not known are left out; zero is known."""
    conversation = bytes(range(16))
    record = call(
        resolved_model="gpt-2", input_tokens=10, output_tokens=0, cache_read_tokens=3, cache_write_tokens=None,
        reasoning_tokens=5, conversation=conversation, cost_usd=0.25,
        stream=Stream(first_content_us=250_000, frames=4, longest_gap_us=None, finished=True, finish_reason="stop"),
    )  # fmt: skip
    told = exchange_attributes(record)
    assert {key: value for key, value in told.items() if key.startswith("gen_ai.") and value is not None} == {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt",
        "gen_ai.response.model": "gpt-2", "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.response.time_to_first_chunk": 0.25, "gen_ai.conversation.id": format_id(conversation),
        "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 0,
        "gen_ai.usage.cache_read.input_tokens": 3, "gen_ai.usage.reasoning.output_tokens": 5,
    }  # fmt: skip
    assert told["sidelog.cost_usd"] == 0.25


def test_a_document_has_no_first_chunk() -> None:
    """Time to the first chunk is that of streams."""
    stream = Stream(
        first_content_us=7, frames=None, longest_gap_us=None, finished=True, is_document=True
    )
    assert exchange_attributes(call(stream=stream))["gen_ai.response.time_to_first_chunk"] is None


@each_of(
    ("path", "operation"),
    [
        ("/v1/messages", "chat"),
        ("/v1/responses", "chat"),
        ("/v1/completions", "text_completion"),
        ("/v1/embeddings", "embeddings"),
        ("/v1beta/models/g:embedContent", "embeddings"),
        ("/v1beta/models/g:streamGenerateContent", "generate_content"),
        ("/v1/images/generations", "generate_content"),
        ("/api/generate", "text_completion"),
        ("/api/chat", "chat"),
        ("/v1/rerank", "rerank"),
        ("/v1/chat/moderations", "moderation"),
        ("/v1/ocr", "ocr"),
        ("/v1beta/interactions", "chat"),
        (None, "chat"),
    ],
)
def test_the_operation_is_that_of_the_path(path: str | None, operation: str) -> None:
    """In the words of the conventions."""
    assert operation_of(call(path=path)) == operation


@each_of(("provider", "name"), [
    ("gemini", "gcp.gemini"), ("bedrock", "aws.bedrock"), ("azure", "azure.ai.openai"), ("mistral", "mistral_ai"),
    ("x-ai", "x_ai"), ("own", "own"),
])  # fmt: skip
def test_providers_have_the_names_of_the_conventions(provider: str, name: str) -> None:
    """One that has none there keeps ours."""
    assert exchange_attributes(call(provider=provider))["gen_ai.provider.name"] == name


def test_the_resource_is_service_sidecar_and_stage() -> None:
    """A stage that is not set is left out."""
    assert resource_attributes("shop", "sidecar-1", "production") == {
        "service.name": "shop",
        "service.instance.id": "sidecar-1",
        "deployment.environment.name": "production",
    }
    assert resource_attributes("shop", "sidecar-1", "")["deployment.environment.name"] is None


def test_a_grpc_call_has_the_names_of_rpc() -> None:
    """Service and method are those of the path."""
    shown = exchange_attributes(make_record(path="/shop.v1.Cart/Add", grpc=Grpc(14, None, 1, 0)))
    assert {name: value for name, value in shown.items() if name.startswith("rpc.")} == {
        "rpc.system": "grpc", "rpc.service": "shop.v1.Cart", "rpc.method": "Add", "rpc.grpc.status_code": 14,
    }  # fmt: skip
    assert "rpc.system" not in exchange_attributes(make_record())


def test_an_event_has_its_id() -> None:
    """That of its record."""
    record = make_record(kind="event")
    assert event_attributes(record)["sidelog.record.id"] == format_id(record.id)
