"""Ids that commands accept, with a real admin application."""

import pytest

from proxy.cli.commands.client import connect
from proxy.cli.commands.output import CommandError
from proxy.cli.commands.record_id import find_id
from storage.record import format_id
from tests.api.samples import make_record
from tests.proxy.cli.commands.conftest import put
from tests.support.memory_store import MemoryStorage

ELSEWHERE = "01980a5f-6c1e-7cc3-9a55-0123456789ab"
"""A request id of a gateway, in the form of record ids."""
UUID = "550e8400-e29b-41d4-a716-446655440000"


@pytest.mark.parametrize(
    "request_id", ["1234567", "20261126", "deadbeef", "ffffffffffff", ELSEWHERE, UUID, "req 7"]
)
def test_a_request_id_may_look_like_an_id(admin: MemoryStorage, request_id: str) -> None:
    """Where no record's id is meant, it is the record's that has it."""
    record = make_record(1, request_id=request_id)
    record.started_at_us = int.from_bytes(record.id[:6]) * 1000
    put(admin, record)
    client = connect(None, None, None)
    whole = format_id(record.id)
    digits = whole.replace("-", "").upper()
    for text in (request_id, whole, whole[:-3], whole[:13], digits[:-1]):
        assert find_id(client, text) == whole


def test_what_is_neither_is_told(admin: MemoryStorage) -> None:
    """A beginning of no id, of several, and one that is too short; a request id of several. A whole
    id is left to the server's own answer.
    """
    records = [make_record(number, request_id="again") for number in (1, 2)]
    records[1].id = records[0].id[:-1] + bytes([records[0].id[-1] ^ 0x10])
    for record in records:
        record.started_at_us = int.from_bytes(record.id[:6]) * 1000
    put(admin, *records)
    client = connect(None, None, None)
    for text, why in (
        ("abcdef0", "no record's id begins with 'abcdef0', and none has it as request id"),
        (format_id(records[0].id)[:8], "several ids begin with"),
        ("again", "several records have the request id 'again'"),
        ("01a2", "'01a2' is too short: at least 6 digits of an id are needed"),
    ):
        with pytest.raises(CommandError, match=why):
            find_id(client, text)
    for record in records:
        assert find_id(client, format_id(record.id)[:-1]) == format_id(record.id)
    assert find_id(client, ELSEWHERE) == ELSEWHERE
