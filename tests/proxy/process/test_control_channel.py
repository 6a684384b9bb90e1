"""The line between supervisor and child carries whole lines and descriptors, and its end is heard."""

import os
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.process.control_channel import MAX_DESCRIPTORS, Control


@pytest.fixture
def line() -> Iterator[tuple[Control, Control]]:
    """Both ends."""
    ours, theirs = (Control(end) for end in socket.socketpair())
    yield ours, theirs
    ours.close()
    theirs.close()


def test_lines_arrive_in_order(line: tuple[Control, Control]) -> None:
    """Several at once, none when there is none."""
    ours, theirs = line
    assert theirs.receive() == ([], [], False)
    assert ours.send("adopt 1")
    assert ours.send("drain")
    assert theirs.receive() == (["adopt 1", "drain"], [], False)
    assert theirs.receive() == ([], [], False)


@given(st.lists(st.integers(1, 20), max_size=10))
def test_a_line_may_arrive_in_any_pieces(cuts: list[int]) -> None:
    """Wherever the stream is cut, the same lines come out."""
    text = b"ready\nretired 00ff\n\nrelease 12\n"
    sender, end = socket.socketpair()
    with sender, end:
        control = Control(end)
        lines: list[str] = []
        for cut in [*cuts, len(text)]:
            piece = text[:cut]
            text = text[cut:]
            sender.sendall(piece)
            lines += control.receive()[0]

    assert lines == ["ready", "retired 00ff", "", "release 12"]


def test_descriptors_travel_beside_a_line(line: tuple[Control, Control]) -> None:
    """The other side gets its own descriptors of the same files, not inheritable."""
    ours, theirs = line
    pipes = [os.pipe() for _ in range(3)]
    assert ours.send("rings", [read_fd for read_fd, _ in pipes])
    assert ours.send("drain")
    lines: list[str] = []
    received: list[int] = []

    while len(lines) < 2:
        some, descriptors, _ = theirs.receive()
        lines += some
        received += descriptors

    assert lines == ["rings", "drain"]
    for (_, write_fd), fd in zip(pipes, received, strict=True):
        os.write(write_fd, b"x")
        assert os.read(fd, 1) == b"x"
        assert not os.get_inheritable(fd)

    for fd in [*received, *(fd for pipe in pipes for fd in pipe)]:
        os.close(fd)


def test_as_many_descriptors_as_a_message_can_hold(line: tuple[Control, Control]) -> None:
    """The limit of one message is received whole."""
    ours, theirs = line
    with open(os.devnull) as file:
        assert ours.send("rings", [file.fileno()] * MAX_DESCRIPTORS)
        _, received, _ = theirs.receive()
    assert len(received) == MAX_DESCRIPTORS
    for fd in received:
        os.close(fd)


def test_the_end_is_heard_after_what_was_said(line: tuple[Control, Control]) -> None:
    """Last words are not lost; a line that was cut off is no line."""
    ours, theirs = line
    ours.send("ready")
    ours.socket.sendall(b"half")
    ours.socket.shutdown(socket.SHUT_WR)
    assert theirs.receive() == (["ready"], [], True)


def test_nobody_to_hear_is_no_error(line: tuple[Control, Control]) -> None:
    """A line to a dead process, or to one that does not read, is False."""
    ours, theirs = line
    while ours.send("x" * 1000):
        pass
    theirs.close()
    assert ours.send("ready") is False
    assert ours.receive()[2] is True
