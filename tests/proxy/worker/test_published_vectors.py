"""What llhttp and http-parser publish as their own tests, sent through the data port and judged by
our rule (http.md).

Either a request is refused, or what is forwarded is read as the same list of messages by every
parser, and recorded as that list; of a response the client gets the right one, a 502, or a visibly
broken one. The vectors stay where `.ci/vectors` put them.
"""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from tests.fuzz.parsers import Judge
from tests.fuzz.request_grammar import RequestCase
from tests.fuzz.request_judge import run_request
from tests.fuzz.response_grammar import End, ResponseCase
from tests.fuzz.response_judge import run_response
from tests.fuzz.strict import read_requests, read_response
from tests.fuzz.world import World
from tests.proxy.conftest import Start
from tests.proxy.worker.vectors.published import Published, published
from tests.support.cases import each_of
from tests.support.client import Client
from tests.support.plane import Plane, running_plane, settings_for
from tests.support.recording import Recording
from tests.support.upstream import read_head, scripted

ASKING = (
    (b"GET", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (b"HEAD", b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (b"GET", b"GET / HTTP/1.0\r\n\r\n"),
    (b"GET", b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
)
needs_vectors = pytest.mark.skipif(not published(), reason="no vectors: .ci/vectors fetches them")


@pytest.fixture(scope="module")
def world() -> World:
    """One engine for all vectors, as in life."""
    return World()


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    """The parsers of others."""
    found = Judge()
    yield found
    found.close()


def manners(raw: bytes) -> list[list[int]]:
    """Where bytes are cut: nowhere, in the middle, everywhere."""
    return [[], [len(raw) // 2], list(range(1, len(raw)))]


@needs_vectors
@each_of("vector", [vector for vector in published() if not vector.is_response])
def test_a_published_request_is_refused_or_read_alike(
    vector: Published, world: World, judge: Judge
) -> None:
    """As it stands, and with the Host that it lacks; whole, in two pieces, byte by byte."""
    for raw in {vector.raw, vector.with_host}:
        for cuts in manners(raw):
            for answers in range(3):
                assert (
                    run_request(
                        world, judge, RequestCase(raw, cuts, is_clean=False, answers=answers)
                    )
                    == ""
                )


@needs_vectors
@each_of("vector", [vector for vector in published() if vector.is_response])
def test_a_published_response_is_right_refused_or_broken(
    vector: Published, world: World, judge: Judge
) -> None:
    """After each kind of request and before each kind of end."""
    ends: tuple[End, ...] = ("stay", "close", "reset")
    for method, request in ASKING:
        for cuts in manners(vector.raw):
            for end in ends:
                case = ResponseCase(
                    method, request, 0, vector.raw, cuts, end, is_clean=False, order=1
                )
                assert run_response(world, judge, case) == ""


@pytest.fixture(scope="module")
def recording() -> Recording:
    """What the upstream is sent."""
    return Recording()


@pytest.fixture(scope="module")
def plane(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """One plane before it."""
    directory = tmp_path_factory.mktemp("plane")
    with scripted(recording) as url, running_plane(settings_for(url), directory) as running:
        yield running
        running.exchanges(running.unread)


@needs_vectors
def test_published_requests_over_sockets(plane: Plane, recording: Recording, judge: Judge) -> None:
    """The same over real connections, all at once: what arrives at the upstream is read alike by
    all.
    """
    with contextlib.ExitStack() as stack:
        for vector in published():
            client = stack.enter_context(plane.connect())
            client.send(vector.with_host)
            client.finish_sending()
            stack.callback(_await_end, client)

    forwarded = 0
    for raw in recording.take():
        found = read_requests(raw, is_canonical=True)
        assert not found.objection
        whole = raw[: len(raw) - len(found.rest)]
        assert judge.disagreement(whole, [message.identity for message in found.messages]) == ""
        forwarded += len(found.messages)

    assert forwarded >= 20


def _await_end(client: Client) -> None:
    with contextlib.suppress(ConnectionResetError):
        client.rest()


@needs_vectors
def test_published_responses_over_sockets(start: Start) -> None:
    """The same for an upstream that answers with each of them and closes: right, our own error, or
    visibly cut.
    """
    vectors = [vector for vector in published() if vector.is_response]

    def upstream(connection: socket.socket, number: int) -> None:
        target = read_head(connection).split(b" ")[1]
        connection.sendall(vectors[int(target[1:])].raw)

    plane = start(upstream)
    passed = 0
    for index, vector in enumerate(vectors):
        with plane.connect() as client:
            client.send(b"GET /%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % index)
            answer = client.answer()
        status = plane.exchange().status
        assert answer.status == status, vector.name
        if answer.field("X-Sidelog-Error"):
            assert status == 502, vector.name
        elif answer.is_complete:
            sent = read_response(vector.raw, b"GET", has_ended=True, is_sent=True)
            assert (answer.status, answer.body) == (sent.status, sent.body), vector.name
            passed += 1

    assert passed >= 20
