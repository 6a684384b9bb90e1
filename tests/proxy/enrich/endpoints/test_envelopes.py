"""Failures that a status of 200 hides, in the envelopes of common protocols."""

import gzip
import json
from typing import Any

import msgspec

from proxy.ring.exchange import FLAG_BODIES_OFF
from proxy.ring.message import IN, OUT
from storage.record import Record
from tests.proxy.enrich.exchanges import Collector, entry_of, wire
from tests.proxy.enrich.grpc.test_messages import framed
from tests.proxy.enrich.live.test_websocket_messages import captured as captured_message
from tests.proxy.enrich.llm.test_bedrock import message
from tests.support.cases import each_of

JSON, SSE, XML = "application/json", "text/event-stream", "text/xml; charset=utf-8"


def record(answer: object, content_type: str = JSON, *, path: str = "/x", **more: Any) -> Record:
    """Build the record of an exchange with an answer, JSON unless it is bytes or text."""
    body = answer.encode() if isinstance(answer, str) else answer
    asked = more.pop("asked", b"{}")
    return entry_of(path, asked, body, content_type=content_type, **more).record


def said(
    answer: object, content_type: str = JSON, **more: Any
) -> tuple[str | None, str, str | None]:
    """Return code, level and message of an answer."""
    made = record(answer, content_type, **more)
    return made.error_type, made.level, msgspec.json.decode(made.data or b"{}").get("error_message")


CHAT_PATH, ASKED = "/v1/chat/completions", {"model": "gpt-4o", "stream": True, "messages": []}
WATCH_ERROR = (
    json.dumps({"type": "ERROR", "object": {"message": f"too old{'.' * 200}", "code": 410}}) + "\n"
)
DAV = (
    "<?xml?><D:multistatus "
    'xmlns:D="DAV:"><D:response><D:href>/a</D:href>%s</D:response></D:multistatus>'
)
NONE = (None, "info", None)
TOO_OLD = ("error_response", "warn", f"410: too old{'.' * 200}")
NO_SUCH_METHOD = ("jsonrpc_method_not_found", "warn", "-32601: no such method")
AWS = "application/vnd.amazon.eventstream"
MESSAGE = framed(b"\x0a\x05hello")


def test_connect() -> None:
    """The last message of a stream has the error."""
    failed = framed(b'{"error":{"code":"permission_denied","message":"no"},"metadata":{}}', flags=2)
    kind = "application/connect+json"
    assert said(MESSAGE + failed, kind) == (
        "connect_permission_denied",
        "warn",
        "permission_denied: no",
    )
    odd = framed(b'{"error":{"code":"strange"}}', flags=2)
    assert said(odd, "application/connect+proto") == ("connect_unknown", "error", "strange")
    assert said(MESSAGE + framed(b"{}", flags=2), kind)[0] is None


RPC_ERROR = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "no such method"}}
RPC_RESULT = {"jsonrpc": "2.0", "id": 1, "result": {"error": {"message": "a result"}}}


@each_of(
    ("answer", "content_type"),
    [
        ('event: error\ndata: {"message":"boom"}\n\n', JSON),
        (f"data: {{}}\n\ndata: {json.dumps({'error': {'message': 'boom'}})}\n\n", JSON),
        ('event: error\ndata: {"message":"boom"}\n\n', "application/x-ndjson"),
        ('event: error\ndata: {"message":"boom"}\n\n', "application/vnd.acme+json"),
        ({"error": {"message": "boom"}}, SSE),
        ('{"a":1}\n{"error":{"message":"boom"}}\n', SSE),
        ('{"a":1}\n{"error":{"message":"boom"}}\n', JSON),
    ],
)
def test_a_stream_is_told_by_how_it_begins(answer: object, content_type: str) -> None:
    """Events are sent as JSON, and documents as events."""
    assert said(answer, content_type)[1:] == ("error", "boom")


@each_of(
    ("answer", "wanted"),
    [
        ('event: error\ndata: {"message":"boom","code":500}\n\n', ("error", "500: boom")),
        (
            'data: {}\n\nevent:error\ndata: {"message":"slow down","status":429}\n\n',
            ("warn", "429: slow down"),
        ),
        ("event: error\ndata: the upstream\ndata: is gone\n\n", ("error", "the upstream\nis gone")),
        (
            'event: error\ndata: {"error":{"type":"overloaded_error","message":"x"}}\n\n',
            ("error", "overloaded_error: x"),
        ),
        ('event: error\ndata: {"error":"boom"}\n\n', ("error", "boom")),
        ('event: error\r\ndata: "boom"\r\n\r\n', ("error", "boom")),
        ("event: error\ndata: [1]\n\n", ("error", "[1]")),
        ("event: error\ndata:\n\n", ("error", "no message")),
        ('data: {"a":1}\n\ndata: {"error":{"message":"x"}}\n\n', ("error", "x")),
        ('data: {"a":1}\n\nevent: error_report\ndata: {"message":"x"}\n\n', None),
        ('data: {"log":"event: error"}\n\n', None),
        ('data: {"error":null,"message":"x"}\n\n', None),
    ],
)
def test_error_events(answer: str, wanted: tuple[str, str] | None) -> None:
    """An event of that name says that the stream failed, whatever its data is; of a model's stream
    as of any.
    """
    found = said(answer, SSE, path="/events")
    of_model = said(answer, SSE, path=CHAT_PATH, asked=ASKED)
    if wanted is None:
        assert found == NONE
        assert of_model[:2] == (None, "info")
        return

    assert found[0] in ("stream_error", "error_response")
    assert found[1:] == wanted
    assert of_model[0] is not None
    assert of_model[1] in ("warn", "error")


def test_a_models_stream_that_ends_with_such_an_event_has_ended_so() -> None:
    """Its stream is not complete, and the event was not cut."""
    chunk = 'data: {"id":"a","model":"gpt-4o","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    stream = chunk + 'event: error\ndata: {"message":"boom","code":500}\n\n'
    made = record(stream, SSE, path=CHAT_PATH, asked=ASKED)
    assert (made.error_type, made.level, made.model) == ("stream_error", "error", "gpt-4o")
    assert made.stream is not None
    assert (made.stream.end, made.stream.finished) == ("error", False)


SOAP = (
    '<?xml version="1.0"?><s:Envelope '
    'xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>%s</s:Body></s:Envelope>'
)
SOAP_11 = (
    SOAP
    % "<s:Fault><faultcode>s:Server</faultcode><faultstring>no &lt;disk&gt;</faultstring></s:Fault>"
)
SOAP_12 = SOAP % (
    "\n <s:Fault><s:Code><s:Value>s:Sender</s:Value></s:Code>"
    '<s:Reason><s:Text xml:lang="en">bad</s:Text></s:Reason></s:Fault>'
)
XML_RPC = (
    "<?xml version='1.0'?><methodResponse><fault><value><struct><member><name>faultCode</name>"
    "<value><int>4</int></value></member><member><name>faultString</name><value><string>Too "
    "many</string></value></member></struct></value></fault></methodResponse>"
)
S3 = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>InternalError</Code><Message>again</Message></Error>'


@each_of(
    ("answer", "content_type", "wanted"),
    [
        (SOAP_11, XML, ("soap_fault", "error", "s:Server: no <disk>")),
        (SOAP_12, "application/soap+xml", ("soap_fault", "warn", "s:Sender: bad")),
        (XML_RPC, XML, ("xmlrpc_fault", "error", "4: Too many")),
        ("    \n  " + S3, "application/xml", ("xml_error", "error", "InternalError: again")),
        (
            S3.replace("InternalError", "AccessDenied"),
            "application/xml",
            ("xml_error", "warn", "AccessDenied: again"),
        ),
        (SOAP % "<Fault>of a mountain</Fault>", XML, ("soap_fault", "error", "no message")),
        (SOAP % "<r><Fault>of a mountain</Fault></r>", XML, NONE),
        ("<list><Error><Code>5</Code></Error></list>", XML, NONE),
        ("<methodResponse><params><fault/></params></methodResponse>", XML, NONE),
        (f"<p>{S3}", "text/html", NONE),
    ],
)
def test_faults_in_xml(answer: str, content_type: str, wanted: object) -> None:
    """SOAP of both versions, XML-RPC, and S3, which sends its head before it knows; by their place,
    not by a word.
    """
    assert said(answer, content_type) == wanted


@each_of(
    ("answer", "content_type", "wanted"),
    [
        (f"data: {json.dumps(RPC_ERROR)}\n\ndata: {{}}\n\n", SSE, NO_SUCH_METHOD),
        (json.dumps(RPC_ERROR), "application/json-rpc", NO_SUCH_METHOD),
        (
            {"took": 30, "errors": True, "items": [{"index": {"status": 503}}] * 5000},
            JSON,
            ("batch_error", "error", "503"),
        ),
        (
            "--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{}\r\n--b\r\n\r\n"
            "HTTP/1.1 503 Unavailable\r\n\r\n--b--",
            "multipart/mixed; boundary=b",
            ("batch_error", "error", "503"),
        ),
        ("--b\r\n\r\nHTTP/1.1 204 No\r\n\r\n--b--", "multipart/mixed; boundary=b", NONE),
        (
            message([(b":event-type", b"a")], b"{}")
            + message([(b":exception-type", b"internalServerException")], b'{"message":"x"}'),
            AWS,
            ("aws_exception", "error", "internalServerException: x"),
        ),
        (
            message([(b":error-code", b"InternalError")], b""),
            AWS,
            ("aws_exception", "error", "InternalError"),
        ),
        (message([(b":event-type", b"a")], b"{}"), AWS, NONE),
        (
            '{"status":"pulling"}\r\n{"errorDetail":{"message":"denied"},"error":"denied"}\r\n',
            JSON,
            ("error_response", "warn", "denied"),
        ),
        (
            '{"a":1}\n{"error":{"message":"x"}}\n',
            "application/x-ndjson",
            ("error_response", "error", "x"),
        ),
        ('{"error":{"message":"x"}}\n{"a":1}\n', "application/x-ndjson", NONE),
        (
            '\x1e{"a":1}\n\x1e{"error":{"message":"x"}}\n',
            "application/json-seq",
            ("error_response", "error", "x"),
        ),
        (
            'data: 1\n\nerror: {"code":400,"message":"too long"}\n\n',
            SSE,
            ("stream_error", "warn", "400: too long"),
        ),
        (
            "<?xml?>\n<DeleteResult><Deleted/><Error><Key>b</Key><Code>AccessDenied</Code></Error></DeleteResult>",
            "application/xml",
            ("batch_error", "warn", "AccessDenied"),
        ),
        (
            '<problem xmlns="urn:ietf:rfc:7807"><title>Gone</title><status>410</status></problem>',
            "application/problem+xml",
            ("xml_error", "warn", "410: Gone"),
        ),
        (
            "--b\r\nContent-ID: <r>\r\n\r\n<s:Body><s:Fault><faultcode>s:Server</faultcode></s:Fault>\r\n--b--",
            'multipart/related; boundary=b; type="application/xop+xml"',
            ("soap_fault", "error", "s:Server"),
        ),
        (WATCH_ERROR, JSON, TOO_OLD),
        (
            json.dumps({"type": "ADDED", "object": {"kind": "Pod", "name": "a b" * 99}})
            + "\n"
            + WATCH_ERROR,
            JSON,
            TOO_OLD,
        ),
        (
            DAV % "<D:status>HTTP/1.1 423 Locked</D:status>",
            XML,
            ("batch_error", "warn", "HTTP/1.1 423 Locked"),
        ),
        (DAV % "<D:status>HTTP/1.1 404 Not Found</D:status>", XML, NONE),
        (DAV % "<D:propstat><D:status>HTTP/1.1 403 No</D:status></D:propstat>", XML, NONE),
        ("[1, 2]", JSON, NONE),
        ("{", JSON, NONE),
        ('"error"', JSON, NONE),
        (b'{"error":\xff}', JSON, NONE),
    ],
)
def test_other_envelopes(answer: object, content_type: str, wanted: object) -> None:
    """Bulk answers, batches, exceptions of AWS, lines, and what is no document."""
    assert said(answer, content_type, windows=(65536, 4096)) == wanted


def test_messages_of_json_rpc_over_a_websocket() -> None:
    """Their events have the same codes; what a client sends is its own."""
    collector = Collector()
    made = [
        collector.hear(captured_message(wire(told), direction=direction)).record
        for told in (RPC_ERROR, [RPC_RESULT, RPC_ERROR], RPC_RESULT, {"error": "x"})
        for direction in (OUT, IN)
    ]
    failed = ("jsonrpc_method_not_found", "warn")
    fine = (None, "debug")
    assert [(one.error_type, one.level) for one in made] == [*[failed, fine] * 2, *[fine] * 4]


def test_the_record_of_one() -> None:
    """What was said is redacted, and kept where bodies are; a coding hides nothing; a status of its
    own stays.
    """
    told = {"error": {"message": "no user for sk-Abcdefghij0123456789ABCDEFGHIJ"}}
    assert said(told) == ("error_response", "error", "no user for [REDACTED]")
    assert said(told, flags=FLAG_BODIES_OFF) == ("error_response", "error", None)
    packed = gzip.compress(json.dumps(told).encode())
    assert said(packed, response_headers="Content-Encoding: gzip\r\n")[0] == "error_response"
    assert said(told, status=404) == (None, "warn", None)


GRAPHQL_ERRORS = json.dumps(
    {"data": {"a": 1, "b": None}, "errors": [{"message": "no b", "path": ["b"]}]}
)
MIXED = "\r\n".join(
    ("", "---", "Content-Type: application/json", "", "{0}", "-----", "")
)  # as Apollo's servers write it


FORMS = [
    (SSE, "event: next\ndata: {0}\n\nevent: complete\ndata:\n\n"),
    (SSE, 'event: next\ndata: {{"id":"1","payload":{0}}}\n\n'),
    ("multipart/mixed; boundary=-; deferSpec=20220824", MIXED),
]
"""Those in which nothing else is answered."""


@each_of("path", ["/graphql", "/graphql/stream", "/api/query", "/"])
@each_of(
    ("content_type", "answer"),
    [
        *FORMS,
        (JSON, "{0}"),
        ("application/graphql-response+json; charset=utf-8", "{0}"),
        (SSE, "data: {0}\n\n"),
        ('multipart/mixed;boundary="graphql";subscriptionSpec=1.0', MIXED),
        ("application/x-ndjson", '{0}\n{{"data":{{}}}}\n'),
        ("application/jsonl", '{{"data":{{}}}}\n{0}\n'),
    ],
)
@each_of(
    "asked",
    [
        b'{"query":"subscription OnB { b }"}',
        b'{"operationName":null,"variables":{},"query":"\\n{ a b }"}',
        b'{"query":"query($id: ID!) { a }"}',
        b'[{"query":"mutation{a}"}]',
    ],
)
def test_errors_of_graphql_are_known_by_what_was_asked(
    path: str, content_type: str, answer: str, asked: bytes
) -> None:
    """At any path, in any form in which an operation is answered."""
    text = answer.format(GRAPHQL_ERRORS)
    found = said(text, content_type, path=path, asked=asked)
    assert found == ("graphql_error", "error", "no b")


@each_of(("content_type", "answer"), FORMS)
def test_errors_of_graphql_are_known_by_their_form(content_type: str, answer: str) -> None:
    """Of a stored query, or of a stream whose operations came in other requests."""
    text = answer.format(GRAPHQL_ERRORS)
    assert said(text, content_type, path="/events")[0] == "graphql_error"


@each_of("asked", [b'{"query":"mutation testing"}', b'{"query":"{app=\\"x\\"}"}', b"{}", b""])
def test_findings_are_no_errors_of_graphql(asked: bytes) -> None:
    """Nor is an answer without errors one."""
    for answer in (GRAPHQL_ERRORS, '{"data":{"a":1}}', '{"data":{},"errors":[]}'):
        assert said(answer, path="/search", asked=asked) == NONE
    assert said('{"data":{"a":1},"errors":[]}', path="/q", asked=b'{"query":"{a}"}')[0] is None
