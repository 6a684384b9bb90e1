"""Secrets planted in every place and encoding: none of them is in any file, log, metric or answer."""

import gzip
import http.client
import json
import random
import re
import socket
import sqlite3
import string
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from urllib.parse import quote, unquote_to_bytes, urlencode

import brotli  # type: ignore[import-untyped]
import pytest
from aiohttp import web

from storage.zstd import zstd
from tests.support.agent import asked_by_agents
from tests.support.grpc_secrets import grpc_requests
from tests.support.sidelog import Sidelog, eventually
from tests.support.upstream import running

ANSWERS = (
    "/api/records?limit=1000", "/api/proxy-logs/_logs?limit=1000&includeRequestBody=1&includeResponseBody=1",
    "/api/proxy-logs/_logs/stats", "/v1/requests?limit=500", "/api/mcp-logs?limit=1000", "/api/mcp-logs/filterdata",
    "/api/status", "/metrics", "/api/export?format=ndjson", "/api/export?format=har", "/api/export?format=csv",
)  # fmt: skip
STREAMS = (
    "/api/records/stream",
    "/api/proxy-logs/_logs/stream?includeRequestBody=1&includeResponseBody=1",
)
Codec = Callable[[bytes], bytes]
CODINGS: dict[str, Codec] = {
    "gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": zstd.compress,
}  # fmt: skip
CARD_DIGITS = 16
_random = random.Random(20)


def make_secret(number: int) -> str:
    """A secret of its own, of different kinds in turn; its middle occurs nowhere else."""
    body = "".join(_random.choice(string.ascii_letters + string.digits) for _ in range(48))
    prefixes = ("ghp_", "sk-proj-", "sk-ant-api03-", "glpat-", "sk_live_", "gsk_", "npm_", "hf_")
    prefix = prefixes[number % len(prefixes)]
    return prefix + ("".join(c for c in body * 2 if c.isalpha())[:40] if prefix == "hf_" else body)


class Planter:
    """Hands out secrets and remembers where each went."""

    def __init__(self) -> None:
        self.planted: dict[str, str] = {}

    def secret(self, place: str) -> str:
        """A new secret for a place."""
        made = make_secret(len(self.planted))
        self.planted[place] = made
        return made

    def card(self, place: str) -> str:
        """A new number of a card."""
        digits = "4" + "".join(_random.choice(string.digits) for _ in range(14))
        doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[::2])
        made = digits + str(-(sum(doubled) + sum(map(int, digits[1::2]))) % 10)
        self.planted[place] = made
        return made

    def word(self, place: str) -> str:
        """A new secret that only its name tells."""
        made = "".join(_random.choice(string.ascii_lowercase) for _ in range(40))
        self.planted[place] = made
        return made


def escaped(text: str) -> str:
    """Every character as a JSON escape."""
    return "".join(f"\\u{ord(character):04x}" for character in text)


def numbered(text: str) -> str:
    """What is no letter and no digit as a JSON escape."""
    return "".join(character if character.isalnum() else escaped(character) for character in text)


def percent(text: str) -> str:
    """Every character percent-encoded."""
    return "".join(f"%{ord(character):02x}" for character in text)


def reflecting() -> web.Application:
    """A service that sends the body back, in the coding and type it came in, and a header it was
    told.
    """

    async def reflect(request: web.Request) -> web.Response:
        body = await request.read()
        headers = {"X-Note": request.headers.get("X-Reply-Note", "none")}
        if (coding := request.headers.get("X-Reply-Coding")) is not None:
            headers["Content-Encoding"] = coding
            body = CODINGS[coding](body)
        return web.Response(body=body, headers=headers, content_type=request.content_type)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", reflect)
    return app


@pytest.fixture(scope="module")
def sidelog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidelog]:
    """A service behind a running sidelog."""
    data = tmp_path_factory.mktemp("canary") / "data"
    with running(reflecting()) as upstream, Sidelog(data, upstream) as started:
        yield started


def send(
    sidelog: Sidelog, target: str, body: bytes, headers: dict[str, str], method: str = "POST"
) -> None:
    """Send a request as it is, without anything a library would tidy up."""
    connection = http.client.HTTPConnection("127.0.0.1", sidelog.port, timeout=60)
    connection.request(method, target, body, headers)
    connection.getresponse().read()
    connection.close()


def send_raw(sidelog: Sidelog, content: bytes) -> None:
    """Send what no library would send, and wait for the answer."""
    with socket.create_connection(("127.0.0.1", sidelog.port), timeout=60) as client:
        client.sendall(content)
        client.recv(4096)


def plant(sidelog: Sidelog, planter: Planter) -> None:
    """Send a secret through every place in every encoding."""
    for places in (plain_places, named_places, shaped_places, said_places):
        places(sidelog, planter)
    for sent in grpc_requests(planter.secret, percent):
        send(sidelog, "/shop.Cart/Add", *sent)
    writers: dict[str, Callable[[str], str]] = {"plain": str, "escaped": escaped, "utf-16": str}
    for name, write in writers.items():
        secret = planter.secret(f"json by looks, {name}")
        text = '{"note": "see %s ok", "password": "%s"}' % (  # noqa: UP031 - escapes must stay as they are
            write(secret), write(planter.secret(f"json by name, {name}")),
        )  # fmt: skip
        raw = text.encode("utf-16" if name == "utf-16" else "utf-8")
        send(sidelog, "/json", raw, {"Content-Type": "application/json"})

    for name, encode in CODINGS.items():
        text = json.dumps(
            {
                "note": planter.secret(f"json, {name}"),
                "token": planter.secret(f"json by name, {name}"),
            }
        )
        headers = {
            "Content-Type": "application/json",
            "Content-Encoding": name,
            "X-Reply-Coding": name,
        }
        send(sidelog, "/json", encode(text.encode()), headers)
        arguments = {"note": planter.secret(f"tool arguments, {name}")}
        call = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": "t", "arguments": arguments},
        }
        send(sidelog, "/mcp", encode(json.dumps(call).encode()), headers)
        form = f"a=1&note={planter.secret(f'form, {name}')}&password={planter.secret(f'form by name, {name}')}"
        send(
            sidelog,
            "/form",
            encode(form.encode()),
            headers | {"Content-Type": "application/x-www-form-urlencoded"},
        )
        secret = planter.secret(f"stream, {name}")
        frames = "".join(
            f'data: {{"choices":[{{"delta":{{"content":"{piece}"}}}}]}}\n\n'
            for piece in (" a ", secret[:7], secret[7:20], secret[20:], " z")
        )
        streamed = headers | {"Content-Type": "text/event-stream"}
        send(sidelog, "/v1/chat/completions", encode(frames.encode()), streamed)
        text = f"a note with {planter.secret(f'plain text, {name}')} in it"
        send(sidelog, "/text", encode(text.encode()), headers | {"Content-Type": "text/plain"})
        lines = [
            {"model": "m", "response": planter.secret(f"lines, {name}")},
            {"done": True, "eval_count": 1},
        ]
        body = "".join(json.dumps(line) + "\n" for line in lines)
        send(
            sidelog,
            "/api/generate",
            encode(body.encode()),
            headers | {"Content-Type": "application/x-ndjson"},
        )
        parts = multipart(
            planter.secret(f"part by looks, {name}"), planter.secret(f"part by name, {name}")
        )
        send(
            sidelog,
            "/multi",
            encode(parts),
            headers | {"Content-Type": "multipart/form-data; boundary=B"},
        )

    text = (
        '{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "t", "arguments": '
        '{"note": "%s"}}}'
    )
    text %= escaped(planter.secret("tool arguments, escaped"))
    send(sidelog, "/mcp", text.encode(), {"Content-Type": "application/json"})
    link = f"https://x.test/?token={percent(planter.secret('url in json, percent'))}"
    send(sidelog, "/json", json.dumps({"see": link}).encode(), {"Content-Type": "application/json"})
    chained = gzip.compress(
        zlib.compress(json.dumps({"note": planter.secret("json, deflate and gzip")}).encode())
    )
    send(
        sidelog,
        "/json",
        chained,
        {"Content-Type": "application/json", "Content-Encoding": "deflate, gzip"},
    )


def multipart(by_looks: str, by_name: str) -> bytes:
    """A form of two parts."""
    part = f'--B\r\nContent-Disposition: form-data; name="file"\r\n\r\nkey {by_looks}\r\n'
    part += f'--B\r\nContent-Disposition: form-data; name="password"\r\n\r\n{by_name}\r\n--B--\r\n'
    return part.encode()


def named_places(sidelog: Sidelog, planter: Planter) -> None:
    """What only names tell: their ends, JSON in forms and queries, XML, HTML, YAML, streams, odd
    UTF-16, refusals.
    """
    note = planter.word
    held = quote(json.dumps({"a": 1, "password": note("json in a query")}))
    send(sidelog, f"/q?a=1&payload={held}&jsessionid={note('session in a query')}", b"", {}, "GET")
    send(sidelog, f"/path;jsessionid={note('session in a path')}/x", b"", {}, "GET")
    form = {
        "payload": json.dumps({"token": note("json in a form")}),
        "next": f"https://x?pwd={note('url in a form')}",
    }
    send(
        sidelog,
        "/form",
        urlencode(form).encode(),
        {"Content-Type": "application/x-www-form-urlencoded"},
    )
    settings = {
        "DB_PASSWORD": note("end of a name"),
        "a": json.dumps({"smtpPassword": note("end of a name in json")}),
    }
    send(
        sidelog,
        "/json",
        json.dumps(settings).encode(),
        {"Content-Type": "application/json", "X-My-Token": note("end")},
    )
    xml = (
        f'<s:E><w:Password T="x">{note("element")}</w:Password><a '
        f'token="{note("attribute")}"/></s:E>'
    )
    send(sidelog, "/soap", xml.encode(), {"Content-Type": "text/xml"})
    manifest = (
        f"kind: Pod\nenv:\n- name: DB_PASSWORD\n  value: {note('environment')}\npassword: |\n  "
        f"{note('yaml')}\n"
    )
    send(sidelog, "/apply", manifest.encode(), {"Content-Type": "application/apply-patch+yaml"})
    settings_file = (
        f"[db]\nuser = 'u'\npassword = '{note('toml')}'\nssl = "
        f'{{api_key = "{note("inline table")}"}}\n'
    )
    send(sidelog, "/config", settings_file.encode(), {"Content-Type": "text/plain"})
    send(
        sidelog,
        "/users",
        f"name,password\nbob,{note('column')}\n".encode(),
        {"Content-Type": "text/csv"},
    )
    html = f'<html><input name="csrf_token" value="{note("hidden field")}"></html>'
    send(sidelog, "/page", html.encode(), {"Content-Type": "text/html"})
    arguments = json.dumps({"user": "bob", "password": note("arguments of a tool in a stream")})
    pieces = (arguments[at : at + 7] for at in range(0, len(arguments), 7))
    calls = ([{"function": {"arguments": piece}}] for piece in pieces)
    frames = "".join(
        f"data: {json.dumps({'choices': [{'delta': {'tool_calls': call}}]})}\n\n" for call in calls
    )
    send(sidelog, "/v1/chat/completions", frames.encode(), {"Content-Type": "text/event-stream"})
    wide = '{"a": "\ud800", "password": "%s"}' % note("utf-16 with half a character")  # noqa: UP031
    send(
        sidelog,
        "/json",
        wide.encode("utf-16-le", "surrogatepass"),
        {"Content-Type": "application/json"},
    )
    send(sidelog, f"bob:{note('authority')}@h:443", b"", {}, "CONNECT")
    send(sidelog, f"http://bob:{note('user of a target')}@h/", b"", {}, "GET")
    send(sidelog, "/", b"", {"Host": f"bob:{note('user of a host')}@h"}, "GET")
    send(sidelog, f"ws://h/?otp={note('target of another scheme')}", b"", {}, "GET")
    chunks = b'{"password":"%b"}\r\n0\r\n\r\n' % note("no chunk").encode()
    send_raw(sidelog, b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    send_raw(
        sidelog,
        b"GET /x?otp=%b and more HTTP/1.1\r\nHost: a\r\n\r\n" % note("line of many words").encode(),
    )
    send_raw(sidelog, b"password=%b&a=1\r\n\r\n" % note("form in the place of a head").encode())


def said_places(sidelog: Sidelog, planter: Planter) -> None:
    """What a text says to a name, and numbers of cards, behind the escapes of what holds it, and in
    streams.
    """
    text = (
        "[db]\r\npassword = %s\tx\nmachine h\n login u\n password %s\nALTER USER u\n PASSWORD "
        "'%s'\nBearer\t%s\n%s"
    )
    writers: dict[str, Callable[[str], str]] = {
        "json": lambda said: json.dumps({"f": said}),
        "json in json": lambda said: json.dumps({"f": json.dumps({"g": said})}),
        "tool's result": lambda said: json.dumps({"messages": [{"role": "tool", "content": said}]}),
        "numbered escapes": lambda said: f'{{"f":"{numbered(said)}"}}',
        "json in a form": lambda said: urlencode({"p": json.dumps({"g": said})}),
        "frames": lambda said: "".join(
            f"data: {json.dumps({'choices': [{'delta': {'content': said[at : at + 5]}}]})}\n\n"
            for at in range(0, len(said), 5)
        ),
    }
    kinds = {"json in a form": "application/x-www-form-urlencoded", "frames": "text/event-stream"}

    for name, write in writers.items():
        ways = ("settings", "netrc", "statement", "bearer")
        said = text % (
            *(planter.word(f"{way}, {name}") for way in ways),
            planter.card(f"card, {name}"),
        )
        headers = {"Content-Type": kinds.get(name, "application/json")}
        send(sidelog, "/v1/chat/completions", write(said).encode(), headers)
        cut = (
            write(said[: said.rindex("ALTER")])
            if name != "frames"
            else write(said) + write("x" * 200_000)
        )
        send(sidelog, "/v1/chat/completions", cut.encode(), headers)

    number = b'{"card": %b, "list": [1, %b]}' % (
        planter.card("number").encode(),
        planter.card("list").encode(),
    )
    send(sidelog, "/json", number, {"Content-Type": "application/json"})
    send(
        sidelog,
        f"/cards/{planter.card('path')}?n={planter.card('query')}",
        b"",
        {"X-Note": planter.card("head")},
        "GET",
    )


def shaped_places(sidelog: Sidelog, planter: Planter) -> None:
    """What has the shape of something that is no secret, or stands apart from its name."""
    note = planter.word
    variables = {
        "query": "mutation($p: String) { login(password: $p) }",
        "variables": {"p": note("variable")},
    }
    schema = {
        "password": {
            "type": "string",
            "default": note("default of a schema"),
            "description": note("description"),
        }
    }
    shapes = {
        "passwordConfirm": note("repeated"), "userPwd": note("short word"),
        "api_keys": [note("plural"), {"a": note("within")}],
        "errors": {"password": [note("among refusals")]}, "credentials": {"user": "a", "value": note("object")},
        "cookies": [{"name": "sid", "value": note("cookie of a list")}], "properties": schema,
        "headers": [["Authorization", note("pair")]], "rawHeaders": ["Host", "h", "Cookie", note("raw header")],
    }  # fmt: skip
    for document in (variables, [variables], shapes, {"a": json.dumps(shapes)}):
        send(sidelog, "/json", json.dumps(document).encode(), {"Content-Type": "application/json"})
    page = f"<html><input type=password value={note('input')}></html>"
    send(sidelog, "/page", page.encode(), {"Content-Type": "text/html"})


def plain_places(sidelog: Sidelog, planter: Planter) -> None:
    """The places that have no content coding: targets, headers, forms, parts, model names and error
    texts.
    """
    note = planter.secret
    writers: dict[str, Callable[[str], str]] = {
        "plain": str,
        "percent": percent,
        "percent twice": lambda text: quote(percent(text)),
    }
    for name, write in writers.items():
        send(sidelog, f"/path/{write(note(f'path, {name}'))}/x", b"", {}, "GET")
        send(
            sidelog,
            f"/q?a=1&q={write(note(f'query, {name}'))}&token={write(note(f'query by name, {name}'))}",
            b"",
            {},
            "GET",
        )
        form = f"note={write(note(f'form value, {name}'))}&secret={write(note(f'form by name, {name}'))}"
        send(sidelog, "/form", form.encode(), {"Content-Type": "application/x-www-form-urlencoded"})
        send(
            sidelog,
            "/h",
            b"",
            {"Referer": f"https://x.test/?k={write(note(f'referer, {name}'))}"},
            "GET",
        )

    send(sidelog, "/h", b"", {
        "Authorization": f"Bearer {note('authorization')}", "Cookie": f"s={note('cookie')}",
        "X-Anything": f"see {note('header by looks')}", "User-Agent": f"tool/1 {note('user agent')}",
        "X-Reply-Note": note("response header"), "X-Api-Key": note("api key header"),
        "X-Request-Id": note("request id"),
    }, "GET")  # fmt: skip
    send(
        sidelog, f"http://user:{note('userinfo')}@127.0.0.1:{sidelog.port}/absolute", b"", {}, "GET"
    )
    parts = multipart(note("part by looks"), note("part by name"))
    send(sidelog, "/multi", parts, {"Content-Type": "multipart/form-data; boundary=B"})
    chat = {
        "model": note("model name"),
        "messages": [{"content": f"postgres://u:{note('url in text')}@db/x"}],
    }
    send(
        sidelog,
        "/v1/chat/completions",
        json.dumps(chat).encode(),
        {"Content-Type": "application/json"},
    )
    error = {"model": "m", "error": {"type": note("error type"), "message": note("error text")}}
    send(
        sidelog,
        "/v1/chat/completions",
        json.dumps(error).encode(),
        {"Content-Type": "application/json"},
    )
    reply = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": note("tool name")},
             "error": {"code": -1, "message": note("tool error")}}  # fmt: skip
    send(
        sidelog,
        "/mcp",
        json.dumps(reply).encode(),
        {"Content-Type": "application/json", "mcp-session-id": note("session")},
    )
    send(
        sidelog,
        "/text",
        f"plain {note('plain text')} text".encode(),
        {"Content-Type": "text/plain"},
    )


def artefacts(sidelog: Sidelog) -> Iterator[tuple[str, bytes]]:
    """Everything that was written or is answered, by name."""
    yield "log", sidelog.log.encode()
    paths = [*ANSWERS]
    ids = [record["id"] for record in sidelog.records()]
    paths += [f"/api/records/{record_id}" for record_id in ids]

    paths += [f"/api/records/{a}/compare/{b}" for a, b in pairwise(ids)]
    for path in paths:
        url = f"http://127.0.0.1:{sidelog.admin_port}{path}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {sidelog.token}"})
        with urllib.request.urlopen(request, timeout=60) as response:
            yield path, response.read()

    for path in STREAMS:
        yield path, streamed(sidelog, path)
    yield from asked_by_agents(sidelog, ids)
    for file in sidelog.data_dir.rglob("*"):
        if file.is_file() and not file.is_symlink():
            yield file.name, file.read_bytes()
    with sqlite3.connect(f"file:{sidelog.data_dir / 'sidelog.db'}?mode=ro", uri=True) as store:
        for table, column in (("blocks", "data"), ("tool_calls", "detail")):
            for (frame,) in store.execute(f"SELECT {column} FROM {table}"):
                yield table, zstd.decompress(frame)

    store.close()


def streamed(sidelog: Sidelog, path: str) -> bytes:
    """Everything that a stream tells of what is stored, up to the newest record."""
    newest = sidelog.records()[0]["id"].encode()
    connection = http.client.HTTPConnection("127.0.0.1", sidelog.admin_port, timeout=60)
    connection.request(
        "GET", path, headers={"Authorization": f"Bearer {sidelog.token}", "Last-Event-ID": "0"}
    )
    response = connection.getresponse()
    assert response.status == 200
    content = b""
    while newest not in content:
        content += response.read1(65536)
    connection.close()
    return content


def readings_of(content: bytes) -> Iterator[bytes]:
    """Content as it is, with JSON escapes read, and percent-decoded."""
    yield content
    unescaped = _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), content)
    yield unescaped
    yield unquote_to_bytes(unescaped)
    yield unquote_to_bytes(unquote_to_bytes(unescaped))


_ESCAPE = re.compile(rb"\\+u00([0-7][0-9a-fA-F])")


def test_no_secret_is_in_any_artefact(sidelog: Sidelog) -> None:
    """Neither whole nor its middle, as it is, escaped, or percent-encoded."""
    planter = Planter()
    plant(sidelog, planter)
    assert len({name.partition(", ")[0] for name in planter.planted}) >= 12
    assert len({name.partition(", ")[2] for name in planter.planted} - {""}) >= 8
    assert len(planter.planted) > 110
    eventually(lambda: sidelog.api("/api/ledger")["waiting"] == 0)
    found = []
    seen = 0

    for name, content in artefacts(sidelog):
        seen += 1
        readings = set(readings_of(content))
        for place, secret in planter.planted.items():
            part = secret[12:28] if len(secret) > CARD_DIGITS else secret
            if any(part.encode() in reading for reading in readings):
                found.append((place, name))

    assert seen > 50
    assert found == []
    assert (
        sidelog.settled_ledger()["dropped"] == {}
        or sum(sidelog.settled_ledger()["dropped"].values()) == 0
    )
