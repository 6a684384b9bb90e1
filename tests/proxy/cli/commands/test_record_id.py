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


@pytest.mark.parametrize(
    "request_id", ["1234567", "20261126", "deadbeef", "ffffffffffff", ELSEWHERE, "req 7"]
)
def test_a_request_id_may_look_like_an_id(admin: MemoryStorage, request_id: str) -> None:
    """Where no record's id is meant, it is the record's that has it."""
    record = make_record(1, request_id=request_id)
    record.started_at_us = int.from_bytes(record.id[:6]) * 1000
    put(admin, record)
    client = connect(None, None, None)
    assert find_id(client, request_id) == format_id(record.id)
    assert find_id(client, format_id(record.id)) == format_id(record.id)
    assert find_id(client, format_id(record.id)[:-3]) == format_id(record.id)


def test_what_is_neither_is_told(admin: MemoryStorage) -> None:
    """A beginning of no id and of several; a whole id is left to the server's own answer."""
    records = [make_record(number) for number in (1, 2)]
    for record in records:
        record.started_at_us = int.from_bytes(record.id[:6]) * 1000
    put(admin, *records)
    client = connect(None, None, None)
    with pytest.raises(
        CommandError, match="no record's id begins with 'abcdef0', and none has it as request id"
    ):
        find_id(client, "abcdef0")

    with pytest.raises(CommandError, match="several ids begin with"):
        find_id(client, format_id(records[0].id)[:8])
    assert find_id(client, ELSEWHERE) == ELSEWHERE


def test_too_few_digits_say_how_many_are_needed(admin: MemoryStorage) -> None:
    """They may be a request id; otherwise the error is not that there is no record."""
    with pytest.raises(
        CommandError, match="'01a2' is too short: at least 6 digits of an id are needed"
    ):
        find_id(connect(None, None, None), "01a2")
