"""`sidelog mock`: answer from a suite, streams with their recorded timing.

Strategy: a request is redacted as the recorded ones were, and the narrowest match answers: the same method, target and
body, else the same target, the same path, the same endpoint. Several recorded answers come in their order, the last one
from then on. Invariant: a body that was cut is never sent as if it were whole.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aiohttp import web

from api.native.files.cut_bodies import sent_windows
from api.native.projection import split_head
from api.replay.request import CONNECTION_FIELDS, is_call
from api.replay.suite import Recorded
from proxy.cli.commands.files.source import recorded_in, template_of
from proxy.cli.commands.output import CommandError, complain
from proxy.enrich.redact.redactor import Redactor
from proxy.settings.addresses import parse_address

MAX_REQUEST_BYTES: Final = 64 << 20
Key = tuple[object, ...]


def run(*, suite: Path, listen: str) -> int:
    """Serve until interrupted."""
    mock = Mock(recorded_in(suite))
    if not mock.answers:
        raise CommandError(f"{suite} has no answer that was kept whole")
    if mock.left_out:
        complain(f"{mock.left_out:,} exchanges are left out: they have no answer that was kept whole as it was sent")
    try:
        host, port = parse_address(listen)
    except ValueError as error:
        raise CommandError(f"--listen {listen!r}: {error}", exit_code=2) from error
    complain(f"answering for {mock.answers:,} recorded exchanges on http://{listen}")
    app = web.Application(client_max_size=MAX_REQUEST_BYTES)
    app.router.add_route("*", "/{path:.*}", mock.answer)
    web.run_app(app, host=host, port=port, print=None, access_log=None)
    return 0


class Mock:
    """Answers requests as they were answered when they were recorded."""

    def __init__(self, suite: Iterator[Recorded]) -> None:
        self._redactor = Redactor()
        self._answers: dict[Key, list[Recorded]] = defaultdict(list)
        self._next: dict[Key, int] = defaultdict(int)
        self.answers = self.left_out = 0
        for recorded in suite:
            _, record, payload = recorded
            body = None if payload is None else payload.response_body
            is_cut = body is not None and (body.truncated or body.omitted)
            if payload is None or is_call(payload) or record.status in (None, 101) or is_cut:
                self.left_out += 1
                continue
            self.answers += 1
            content = payload.request_body.head if payload.request_body else b""
            for key in self._keys(record.method or "", record.path or "", record.query or "", content):
                self._answers[key].append(recorded)

    def _keys(self, method: str, path: str, query: str, body: bytes) -> Iterator[Key]:
        """Yield what requests are found by, the narrowest first."""
        yield method, path, query, body
        yield method, path, query
        yield method, path
        yield method, None, template_of(path)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Find an answer and send it at its pace."""
        path, _, query = request.raw_path.partition("?")
        path = self._redactor.redact_path(path.encode()).decode()
        query = self._redactor.redact_query(query.encode()).decode()
        kind = request.headers.get("Content-Type", "").encode()
        body, _ = self._redactor.redact_body(await request.read(), b"", kind, False)
        keys = self._keys(request.method, path, query, body)
        key = next((key for key in keys if key in self._answers), None)
        if key is None:
            return web.Response(status=404, text=f"no recorded exchange answers {request.method} {path}\n")
        found, turn = self._answers[key], self._next[key]
        self._next[key] = min(turn + 1, len(found) - 1)
        return await _sent(request, found[turn])


async def _sent(request: web.Request, recorded: Recorded) -> web.StreamResponse:
    _, record, payload = recorded
    assert payload is not None
    assert record.status is not None
    line, fields = split_head(payload.response_head)
    body = payload.response_body
    response = web.StreamResponse(status=record.status, reason=(line or "").partition(" ")[2].partition(" ")[2] or None)
    left_out = CONNECTION_FIELDS | ({"content-encoding"} if body and body.coding else set())
    for name, value in fields:
        if name.lower() not in left_out:
            response.headers.add(name, value)
    content = sent_windows(body)[0] if body else b""
    if not payload.timeline:
        response.content_length = len(content)
    elif request.version >= (1, 1):
        response.enable_chunked_encoding()
    loop = asyncio.get_running_loop()
    began_s, sent = loop.time(), 0
    await response.prepare(request)
    for end, after_us in [*payload.timeline, (len(content), 0)] if request.method != "HEAD" else []:
        if (pause_s := began_s + after_us / 1e6 - loop.time()) > 0:
            await asyncio.sleep(pause_s)
        if end > sent:
            await response.write(content[sent:end])
            sent = end
    await response.write_eof()
    return response
