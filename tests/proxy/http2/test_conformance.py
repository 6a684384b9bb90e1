"""What RFC 9113 and RFC 7541 say of a client's frames holds, however their bytes arrive."""

from proxy.http2.connection import Connection
from proxy.http2.events import Event
from proxy.http2.hpack.encoder import LineEncoder
from tests.proxy.http2.cases import CASES, Case
from tests.proxy.http2.wire import NOW_NS, limits, opened, receive, verdict
from tests.support.cases import each_of


def judge(case: Case, step: int) -> tuple[str, list[int]]:
    """Feed a case in pieces; return how it was judged, and which streams were opened."""
    connection = Connection(limits(), LineEncoder(), NOW_NS, is_server=True)
    raw = case.hello + case.raw
    events: list[Event] = []
    for at in range(0, len(raw), step):
        events += receive(connection, raw[at : at + step])
    assert connection.is_ended or not connection.has_more
    return verdict(connection, events), opened(events)


@each_of("case", CASES)
def test_a_case_is_judged_as_its_section_says(case: Case) -> None:
    """Whole, byte by byte and in odd pieces: the verdict is the same."""
    verdicts = {}
    for step in (
        (len(case.hello + case.raw) or 1, 7, 1) if len(case.raw) < 2000 else (1 << 20, 1000)
    ):
        found, streams = judge(case, step)
        verdicts[step] = found or "=" + " ".join(map(str, streams))

    assert set(verdicts.values()) == {case.expected}


def test_no_case_is_there_twice() -> None:
    """Names are what a failure is found by; there are as many as h2spec has, and more."""
    assert len({case.name for case in CASES}) == len(CASES) > 146
