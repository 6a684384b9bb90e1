"""`sidelog tail` goes on behind the last id it was told, however often the server is away."""

import pytest

from proxy.cli import app
from proxy.cli.commands import tail
from proxy.cli.commands.tail import Event, parse_events
from tests.proxy.cli.commands.conftest import Quiet, serving

END = b'event: scope-destroyed\ndata: {"containerId": "c"}\n\n'
CONNECTED = (200, b"retry: 2000\nid: 7\n\n")


def test_an_id_without_data_is_told() -> None:
    """Once, and before anything else of its stream."""
    lines = b"retry: 2000\nid: 7\n\n:\n\nid: 8\ndata: a\n\n:\n\nevent: gap\ndata: b\n\n".splitlines(
        keepends=True
    )
    assert list(parse_events(lines)) == [
        Event("id", "7", ""),
        Event("message", "8", "a"),
        Event("gap", "8", "b"),
    ]


def follow(
    monkeypatch: pytest.MonkeyPatch, *answers: tuple[int, bytes]
) -> tuple[int, list[str | None]]:
    """Run the command against a server that answers so; its exit code, and the ids it came with."""
    monkeypatch.setattr(tail, "RETRY_S", 0.01)
    asked: list[str | None] = []

    class Handler(Quiet):
        def do_GET(self) -> None:
            status, content = answers[len(asked)]
            asked.append(self.headers["Last-Event-ID"])
            self.answer(status, content)

    with serving(Handler) as url:
        return app.main(["tail", "--url", url, "--token", "t"]), asked


def test_the_newest_records_come_first(capfd: pytest.CaptureFixture[str]) -> None:
    """Oldest first, before what is new, and none twice; they are asked for once the stream has
    begun.
    """
    asked: list[str] = []
    page = b'{"records": [{"id": "8"}, {"id": "7"}], "next_cursor": null, "complete": true}'
    events = [b'id: %d\ndata: {"id": "%d"}\n\n' % (number, number) for number in (8, 9)]

    class Handler(Quiet):
        def do_GET(self) -> None:
            asked.append(self.path)
            stream = b"".join((CONNECTED[1], *events, END))
            self.answer(200, stream if "/stream" in self.path else page)

    with serving(Handler) as url:
        command = f"tail -n 2 --json --status 5xx --url {url} --token t"
        assert app.main(command.split()) == 0

    assert capfd.readouterr().out.splitlines() == ['{"id": "7"}', '{"id": "8"}', '{"id": "9"}']
    assert [path.partition("?")[0] for path in asked] == ["/api/records/stream", "/api/records"]
    assert all("status=5xx" in path for path in asked)


def test_the_newest_records_are_asked_for_again_after_a_refusal(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A restart may fall between the beginning of the stream and the newest records."""
    monkeypatch.setattr(tail, "RETRY_S", 0.0)
    page = b'{"records": [{"id": "7"}], "next_cursor": null, "complete": true}'
    pages = [(503, b"{}"), (200, page)]

    class Handler(Quiet):
        def do_GET(self) -> None:
            is_stream = "/stream" in self.path
            self.answer(*((200, CONNECTED[1] + END) if is_stream else pages.pop(0)))

    with serving(Handler) as url:
        assert app.main(f"tail -n 1 --json --url {url} --token t".split()) == 0
    assert capfd.readouterr().out.splitlines() == ['{"id": "7"}']


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_who_was_connected_is_not_turned_away(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], status: int
) -> None:
    """A restart, or a balancer before it, answers for a while; the tail resumes behind the id it
    was told first.
    """
    refused = (status, b'{"detail": "the store is being opened"}')
    assert follow(monkeypatch, CONNECTED, refused, refused, (200, END)) == (
        0,
        [None, "7", "7", "7"],
    )
    said = capfd.readouterr().err
    assert said.count("; reconnecting") == 1, "once, however many attempts it takes"
    assert said.count("connected again to") == 1


@pytest.mark.parametrize("answers", [[(503, b"{}")], [CONNECTED, (401, b"{}")]])
def test_a_refusal_that_stays_ends_it(
    monkeypatch: pytest.MonkeyPatch, answers: list[tuple[int, bytes]]
) -> None:
    """At the first connection any, later one that no time will change."""
    code, asked = follow(monkeypatch, *answers)
    assert (code, len(asked)) == (1, len(answers))


def test_a_stop_of_the_server_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """By the end of the connection, not by the event before it as well."""
    stopping = (
        200,
        CONNECTED[1] + b'event: shutdown\ndata: {"reason": "sidelog is shutting down"}\n\n',
    )
    assert follow(monkeypatch, stopping, (200, END))[0] == 0
    said = capfd.readouterr().err
    assert ("shutdown" in said, said.count("reconnecting")) == (False, 1)
