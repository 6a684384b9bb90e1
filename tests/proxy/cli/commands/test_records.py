"""One record, and what happened around it, asked of a real admin application."""

import json
import sys
import webbrowser
from datetime import UTC, datetime

import pytest
from _pytest.capture import CaptureResult

from proxy.cli import app
from proxy.cli.commands.zone import zone_name
from storage.record import Body, Entry, Payload, Stream, ToolCall, format_id
from tests.api.samples import START_US, make_body, make_record
from tests.proxy.cli.commands.conftest import Quiet, put, serving
from tests.proxy.cli.conftest import Run
from tests.support.memory_store import MemoryStorage

SECOND_US = 1_000_000


def words_in(printed: CaptureResult[str], beginning: str = "") -> list[str]:
    """The lines of an output that begin so, with one space between words."""
    lines = [" ".join(line.split()) for line in printed.out.splitlines()]
    return [line for line in lines if line.startswith(beginning)]


def test_get_says_first_what_came_of_it(admin: MemoryStorage, run: Run) -> None:
    """Method, target, status, time, error, model, tool; then the request. Every other field is for
    --all.
    """
    asked = make_record(
        1, method="POST", scheme="http", host="api.test", path="/v1/chat/completions", query="a=1", status=200,
        duration_us=427_700, first_byte_us=963, outcome="truncated", error_type="overloaded_error",
        data=b'{"error_message": "try\\u001b later"}', model="gpt-x", input_tokens=1300, output_tokens=10,
        usage_state="exact", cost_usd=0.00002385, client_ip="10.0.0.9", user_agent="agent/1", started_at_us=START_US,
        stream=Stream(None, None, None, finished=False, finish_reason="length"),
    )  # fmt: skip
    call = ToolCall(
        record_id=asked.id, started_at_us=START_US, created_at_us=START_US, tool_name="restart", server_label="s",
        status="error", error_details=(
            b'{"error": {"type": "tool_error", "message": "permission denied"}}'
        ),
    )  # fmt: skip
    payload = Payload(
        b"POST /v1/chat/completions?a=1 HTTP/1.1\r\nHost: api.test", b"HTTP/1.1 200 OK", None, None
    )
    put(admin, Entry(asked, payload, [call]))
    summary, request, _ = run(f"get {format_id(asked.id)}").out.split("\n\n", 2)
    assert [" ".join(line.split()) for line in summary.splitlines()] == [
        "POST http://api.test/v1/chat/completions?a=1",
        "200 after 427.7 ms, first byte after 1.0 ms",
        "error overloaded_error, truncated, try\\x1b later",
        "model gpt-x, 1,300 tokens in, 10 out, $0.00002385, ended by length",
        "tool restart, error, permission denied",
        f"started {_time_of(START_US)}",
        "client 10.0.0.9, agent/1",
        f"id {format_id(asked.id)}",
    ]
    assert request.startswith("request\n  POST /v1/chat/completions?a=1 HTTP/1.1\n")
    whole = run(f"get {format_id(asked.id)} --all").out
    assert whole.startswith(summary)
    assert "\nusage\n" in whole
    assert whole.index("\ntimings\n") < whole.index("\nrequest\n")


def test_get_shows_heads_and_bodies(
    admin: MemoryStorage, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Fields, both heads, both windows and the true size; --json is the API's own document, and
    --raw exactly the stored bytes. A missing record is an error on stderr.
    """
    record = make_record(1, path="/p")
    head = b"GET /p HTTP/1.1\r\nhost: app\r\nContent-Type: image/png; a=b"
    kept = Body(b"first", b"last\x1b", 999, True, None, None)
    payload = Payload(head, b"HTTP/1.1 200 OK", make_body(b"\x00raw\xff\n"), kept)
    put(admin, Entry(record, payload))

    def get(*options: str) -> bytes:
        assert app.main(["get", format_id(record.id), *options]) == 0
        return capfdbinary.readouterr().out

    out = get().decode()
    assert "GET /p HTTP/1.1" in out
    assert "host: app" in out
    assert "[6 bytes of image/png: --raw --request writes them]" in out
    mark = "[cut: the first 5 and the last 5 bytes kept, of 999 bytes]"
    assert out.index("first") < out.index(mark) < out.index("last\\x1b")
    assert json.loads(get("--json"))["response"]["body"]["size"] == 999
    assert get("--raw", "--request") == b"\x00raw\xff\n"
    assert app.main(["get", "--raw", "--request", "x"]) == 1
    assert b"there is no record" in capfdbinary.readouterr().err


def test_get_says_what_was_taken_out(admin: MemoryStorage, run: Run) -> None:
    """In one line, even if a name would move the cursor; also with --json and --fields."""
    record = make_record(1, redactions={"github-token": 1, "name:pass\x1b[2J": 2})
    put(admin, record, make_record(2))
    for option in ("", "--all"):
        said = words_in(run(f"get {format_id(record.id)} {option}"), "redacted ")
        assert said == ["redacted github-token (1), name:pass\\x1b[2J (2)"]

    assert (
        json.loads(run(f"get {format_id(record.id)} --json").out)["redactions"] == record.redactions
    )
    assert (
        run("query 'redacted:*' --fields redactions").out.splitlines()[1]
        == "github-token (1), name:pass\\x1b[2J (2)"
    )
    assert json.loads(run("query --redacted github-token --fields redactions --json").out) == {
        "redactions": record.redactions
    }


def test_get_of_what_asks_for_no_path(admin: MemoryStorage, run: Run) -> None:
    """The target as it was sent, and where to."""
    asked = [
        make_record(1, method="OPTIONS", scheme="http", host="api.test", path="*"),
        make_record(2, method="CONNECT", scheme="http", host="api.test:1", path="api.test:1"),
        make_record(3, method="GET", scheme="http", host="api.test", path=None),
        make_record(4, method=None, scheme="http", host=None, path=None),
    ]
    put(admin, *asked)
    said = [run(f"get {format_id(record.id)}").out.splitlines()[0] for record in asked]
    assert said == [
        "OPTIONS * at http://api.test",
        "CONNECT api.test:1",
        "GET http://api.test",
        "invalid request",
    ]


@pytest.mark.parametrize("screen", ["", "DISPLAY", "BROWSER"])
def test_open_shows_a_record_where_there_is_a_screen(
    admin: MemoryStorage,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    screen: str,
) -> None:
    """Its address is printed, and no browser of text takes a terminal."""
    record = make_record(1)
    put(admin, record)
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    if screen:
        monkeypatch.setenv(screen, ":0")
    whole = format_id(record.id)
    printed = run(f"open {whole}").out.strip()
    assert printed.endswith(f"/requests?record={whole}")
    assert opened == ([printed] if screen else [])
    assert "no record's id begins" in run("open 0192f3c4", code=1).err


def test_get_says_why_a_call_has_no_tokens(admin: MemoryStorage, run: Run) -> None:
    """A stream of chat has them only where they are asked for; a refused call has none to report."""
    asked = {
        "method": "POST",
        "path": "/v1/chat/completions",
        "provider": "openai",
        "model": "gpt-x",
    }
    ended = Stream(None, None, None, finished=True, finish_reason="stop", end="complete")
    silent = make_record(1, status=200, usage_state="absent", stream=ended, **asked)
    other = make_record(2, status=200, usage_state="absent", **(asked | {"path": "/v1/responses"}))
    refused = make_record(3, status=429, usage_state="absent", **asked)
    put(admin, silent, other, refused)
    said = []

    for record in (silent, other, refused):
        said += words_in(run(f"get {format_id(record.id)}"), "model ")

    assert said == [
        "model gpt-x, no tokens reported: a stream has them where stream_options.include_usage is "
        "set, ended by stop",
        "model gpt-x, no tokens reported",
        "model gpt-x",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"error": {"message": "too many tokens", "code": "context"}}', "too many tokens"),
        (b'{"detail": [{"loc": ["a"], "msg": "Field required"}]}', "Field required"),
        (
            b'{"error": "invalid_grant", "error_description": "the code has expired"}',
            "the code has expired",
        ),
        (b'{"error": {"message": "no such model", "code": 404}}', "no such model"),
        (b'{"error": "deadlock"}', "deadlock"),
        (b'{"detail": [{"loc": ["a"]}], "message": "a is missing"}', "a is missing"),
        (b'{"error": {"message": 7}}', None),
        (b"[1]", None),
        (b"<html>", None),
        (None, None),
    ],
)
def test_get_says_what_an_error_says(
    admin: MemoryStorage,
    run: Run,
    content: bytes | None,
    said: str | None,
) -> None:
    """The message in the response's body, at any of the usual places."""
    record = make_record(1, status=500, level="error", error_type=None, outcome="ok")
    payload = Payload(
        b"GET / HTTP/1.1", b"HTTP/1.1 500 E", None, None if content is None else make_body(content)
    )
    put(admin, Entry(record, payload))
    lines = words_in(run(f"get {format_id(record.id)}"), "error ")
    assert lines == ([] if said is None else [f"error {said}"])


def test_get_says_of_a_refusal_what_it_said_once(admin: MemoryStorage, run: Run) -> None:
    """The code is in record and answer; also where the level alarms nobody."""
    record = make_record(
        1, status=400, level="info", error_type="tls_on_plain_port", outcome="rejected"
    )
    content = (
        b'{"error": {"code": "tls_on_plain_port", "message": "TLS was spoken to a port without '
        b'it: use http://"}}'
    )
    payload = Payload(b"\x16\x03\x01", b"HTTP/1.1 400 Bad Request", None, make_body(content))
    put(admin, Entry(record, payload))
    lines = words_in(run(f"get {format_id(record.id)}"))
    assert (
        "error tls_on_plain_port, rejected, TLS was spoken to a port without it: use http://"
        in lines
    )


def test_get_keeps_the_answer_in_sight_of_a_long_question(admin: MemoryStorage, run: Run) -> None:
    """Of a long body its beginning is shown, and how to see the rest."""
    record = make_record(1)
    payload = Payload(
        b"POST / HTTP/1.1", b"HTTP/1.1 200 OK", make_body(b"a" * 9000 + b"z"), make_body(b"answer")
    )
    put(admin, Entry(record, payload))
    shown = run(f"get {format_id(record.id)}").out
    assert f"\n{'a' * 4000}\n  [the first 4,000 characters: --all shows all 9,001 bytes]\n" in shown
    assert shown.endswith("\nanswer\n")
    assert "a" * 9000 + "z\n" in run(f"get {format_id(record.id)} --all").out


def test_around_a_record_are_the_nearest(
    admin: MemoryStorage, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where more happens in a minute than is listed, on both sides of it."""
    monkeypatch.setattr("proxy.cli.commands.records.MAX_AROUND", 2)
    records = [make_record(n, path=f"/{n}", started_at_us=START_US + n * 1000) for n in range(9)]
    put(admin, *records)
    assert [
        json.loads(line)["path"]
        for line in run(f"get {format_id(records[4].id)} --around --json").out.splitlines()
    ] == [
        "/2",
        "/3",
        "/4",
        "/5",
    ]


@pytest.mark.parametrize(
    ("order", "paths"), [("desc", ["/2", "/1", "/long"]), ("asc", ["/long", "/1", "/2"])]
)
def test_rows_are_in_the_order_in_which_they_started(
    admin: MemoryStorage, run: Run, order: str, paths: list[str]
) -> None:
    """As their first column says: a long one was stored behind others that began later."""
    moments = {"/1": 1, "/long": 0, "/2": 2}
    records = [
        make_record(n, path=path, started_at_us=START_US + s * SECOND_US)
        for n, (path, s) in enumerate(moments.items())
    ]
    put(admin, *records)
    assert [
        line.strip() for line in run(f"query --order {order} --fields path").out.splitlines()[1:]
    ] == paths


def test_get_of_an_event_names_it(admin: MemoryStorage, run: Run) -> None:
    """It has neither status nor duration."""
    event = make_record(
        1, kind="event", name="gap", method=None, status=None, host=None, data=b'{"records": 7}'
    )
    put(admin, event)
    shown = run(f"get {format_id(event.id)}").out
    assert shown.startswith("event gap\n")
    assert '"records": 7' in shown
    assert " after " not in shown


def _time_of(moment_us: int) -> str:
    zone = datetime.fromtimestamp(moment_us / SECOND_US, UTC).astimezone()
    return f"{zone:%Y-%m-%d %H:%M:%S.%f}"[:23] + f" {zone_name(None)}"


def fill(store: MemoryStorage, service: str | None) -> str:
    """Store records before and after one, near and far, and one elsewhere; return the id of the
    one.
    """
    moments = {"/earlier": -70, "/before": -59, "/shown": 0, "/after": 59, "/later": 70}
    records = [
        make_record(
            n,
            path=path,
            service=service,
            route_id="r",
            started_at_us=START_US + s * SECOND_US,
            ended_at_us=START_US,
        )
        for n, (path, s) in enumerate(moments.items())
    ]
    elsewhere = make_record(9, path="/elsewhere", service=service and "other", route_id="other")
    put(store, *records, elsewhere)
    return format_id(records[2].id)


@pytest.mark.parametrize("service", ["shop", None])
def test_around_a_record_is_the_minute_before_and_after(
    admin: MemoryStorage, service: str | None, run: Run
) -> None:
    """In its service, or where it has none on its route, oldest first; as a table or as lines of
    JSON.
    """
    shown = fill(admin, service)
    lines = run(f"get {shown} --around --json").out.splitlines()
    assert [json.loads(line)["path"] for line in lines] == ["/before", "/shown", "/after"]
    assert len(run(f"get {shown} --around").out.splitlines()) == 4


@pytest.mark.usefixtures("admin")
def test_around_goes_with_json_alone(run: Run) -> None:
    """It lists records, and cannot print a body, an archive or a command."""
    for other in ("--raw", "--curl", "--har"):
        assert "--around --json" in " ".join(
            run(f"get x --around {other}", code=2).err.replace("│", " ").split()
        )


class DataPort(Quiet):
    """Passes on to a service that has an answer for every path."""

    def do_GET(self) -> None:
        """Answer one request."""
        self.answer(200, b"{}", X_Sidelog_Id=format_id(make_record(1).id))


def test_the_data_port_is_not_taken_for_the_admin_port(
    monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    """Even if the service answers the path with 200."""
    monkeypatch.setenv("SIDELOG_TOKEN", "t")
    said = "sidelog: 200 OK from the data port; pass the --url of the admin port\n"
    shown = f"get {format_id(make_record(1).id)} --raw"
    with serving(DataPort) as url:
        for command in ("health", "query", "export ndjson", shown):
            assert run(f"{command} --url {url}", code=1) == ("", said)


@pytest.mark.parametrize(
    "command", ["get", "compare", "conversations", "alerts test", "keys disable"]
)
def test_an_empty_id_or_name_is_none(run: Run, command: str) -> None:
    """As of a variable that is not set: no condition would be every record."""
    assert "it is empty" in run(f"{command} ''", code=2).err


def test_a_query_that_finds_nothing_counts_what_is_not_stored_yet(
    admin: MemoryStorage, run: Run
) -> None:
    """A request that was just answered may still be on its way to the store."""
    assert run("query status:418").err == "no records match; 1 not stored yet\n"

    said = run("query user:u7").err
    assert "no record of the last day has a user" in said
    assert "header.NAME:VALUE" in said
