"""A ring says what its numbers mean, also to a collector that was configured in another way."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from proxy.ring.descriptor import Descriptor, read_descriptor, write_descriptor
from proxy.settings.model import HeaderSettings, ProxySettings, RouteSettings, Settings
from tests.support.cases import each_of


def test_what_was_written_is_read() -> None:
    """Routes in their order, with what they add to records; empty settings are None."""
    settings = Settings(
        proxy=ProxySettings(source="edge", stage="production"),
        routes=(
            RouteSettings(
                id="a",
                upstream="http://x",
                service="shop",
                container="c1",
                project="p",
                client="acme",
            ),
            RouteSettings(id="b", upstream="http://y", client="other"),
        ),
    )
    read = read_descriptor(write_descriptor(msgspec.to_builtins(settings)))
    assert (read.source, read.stage) == ("edge", "production")
    first, second = read.routes
    assert (first.id, first.service, first.container, first.project, first.client) == (
        "a",
        "shop",
        "c1",
        "p",
        "acme",
    )
    assert (second.id, second.service, second.client) == ("b", None, "other")


def test_it_says_whether_requests_got_a_trace() -> None:
    """A ring of before, which says nothing of it, made none."""
    for is_made in (False, True):
        settings = Settings(proxy=ProxySettings(trace_context=is_made))
        assert (
            read_descriptor(write_descriptor(msgspec.to_builtins(settings))).makes_traces is is_made
        )

    assert read_descriptor(b'{"source": "edge", "stage": null, "routes": []}') == Descriptor(
        "edge", None, ()
    )


def test_no_secret_is_in_it() -> None:
    """Headers that routes set, and what is more of an upstream than its name, stay out of shared
    memory.
    """
    route = RouteSettings(
        id="a",
        upstream="http://me:secret@x:81/secret",
        headers=HeaderSettings(set_request={"authorization": "Bearer secret"}),
    )
    described = write_descriptor(msgspec.to_builtins(Settings(routes=(route,))))
    assert b"secret" not in described
    assert read_descriptor(described).routes[0].upstream == "x:81"


@each_of(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b'{"source": 1, "stage": 2, "routes": [3]}',
        b'{"routes": {"a": 1}}',
    ],
)
def test_a_damaged_one_costs_names_and_no_records(raw: bytes) -> None:
    """Whatever is there instead, the answer is a descriptor without routes."""
    assert read_descriptor(raw) == Descriptor("backend", None, ())


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_nothing_raises(raw: bytes) -> None:
    """Any bytes are read."""
    read_descriptor(raw)
