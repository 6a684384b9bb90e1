"""The benchmark of the whole collector stores what it says."""

import pytest

from bench.micro import collecting
from proxy.enrich.records import RecordBuilder
from proxy.ring.descriptor import read_descriptor
from proxy.ring.exchange import CapturedExchange
from proxy.ring.ring import RingReader
from proxy.ring.websocket_message import decode_message
from proxy.settings.model import RouteSettings, Settings
from storage.record import Entry

SETTINGS = Settings(routes=(RouteSettings(id="default", upstream="http://127.0.0.1:9000"),))


def stored(scenario: str, records: int) -> list[Entry]:
    """Build what a filled ring holds."""
    filled = collecting.Filled(SETTINGS)
    try:
        return read(filled, filled.fill(scenario, records))
    finally:
        filled.segment.close()


def read(filled: collecting.Filled, end: int) -> list[Entry]:
    """Build the records of all entries up to an offset."""
    entries = RingReader(filled.segment).read(1000, 1 << 30)
    assert entries[-1][3] == end
    builder, descriptor = RecordBuilder("bench", SETTINGS), read_descriptor(filled.segment.descriptor)
    return [builder.build(CapturedExchange(header, body), descriptor) for _, header, body, _ in entries]


@pytest.mark.parametrize("scenario", [name for name in collecting.SCENARIOS if not name.startswith("message")])
def test_exchanges_are_whole(scenario: str) -> None:
    """Heads and bodies that were made are read, and nothing of them is damaged."""
    entries = stored(scenario, 3)
    assert [entry.record.status for entry in entries] == [200] * 3
    assert all(entry.payload and entry.payload.response_body for entry in entries)


@pytest.mark.parametrize(("scenario", "size"), [("message", 120), ("message0", 0)])
def test_messages_are_whole(scenario: str, size: int) -> None:
    """Each is one of its own, of another connection than those before and behind it."""
    filled = collecting.Filled(SETTINGS)
    try:
        filled.fill(scenario, 3)
        messages = [decode_message(header, body) for _, header, body, _ in RingReader(filled.segment).read(10, 1 << 20)]
    finally:
        filled.segment.close()
    assert [(message.size, message.times) for message in messages] == [(size, 1)] * 3
    assert len({message.exchange_id for message in messages}) == 3


@pytest.mark.parametrize("scenario", ["getvar", "postvar"])
def test_nothing_of_varied_traffic_repeats(scenario: str) -> None:
    """Each has path, query, ids and bodies of its own."""
    entries = stored(scenario, 20)
    payloads = [entry.payload for entry in entries if entry.payload is not None]
    for values in (
        {entry.record.path for entry in entries},
        {entry.record.query for entry in entries},
        {entry.record.trace_id for entry in entries},
        {entry.record.request_id for entry in entries},
        {payload.request_head for payload in payloads},
        {payload.response_body and payload.response_body.head for payload in payloads},
    ):
        assert len(values) == 20
