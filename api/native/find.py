"""Finds a record by its id, or a part of it, in the store and among exchanges in flight."""

from collections.abc import Callable

from api.http.errors import Refused
from api.services import Services
from storage.record import Entry, Payload, Record, parse_id


async def find_record(services: Services, text: str) -> Record:
    """Return the record with an id, in any spelling.

    Raises:
        Refused: 404, there is none.
    """
    return (await _find(services, text)).record


async def find_entry(services: Services, text: str) -> tuple[Record, Payload | None]:
    """Return the record of an id with its heads and bodies; of one in flight, what is known of
    them.

    Raises:
        Refused: 404, there is none.
    """
    entry = await _find(services, text)
    return entry.record, await payload_of(services, entry)


async def _find(services: Services, text: str) -> Entry:
    entry = await find_in(services, text, lambda record: True)
    if entry is None:
        raise Refused(404, f"there is no record {text[:100]!r}")
    return entry


async def find_in(
    services: Services, text: str, is_wanted: Callable[[Record], bool]
) -> Entry | None:
    """Return the record of an id, without the payload where it is stored; None when there is none
    that is wanted.
    """
    record_id = parse_id(text)
    if record_id is None:
        return None

    # Those in flight first: what ends meanwhile is then in both, and not in neither.
    flying = [entry for entry in services.in_flight() if entry.record.id == record_id]
    stored = await services.storage.get(record_id)
    entries = [*([] if stored is None else [Entry(stored)]), *flying]
    return next((entry for entry in entries if is_wanted(entry.record)), None)


async def payload_of(services: Services, entry: Entry) -> Payload | None:
    """Return the heads and bodies of an entry that `find_in` found."""
    seq = entry.record.seq
    if seq:
        return (await services.storage.payloads([seq])).get(seq)
    return entry.payload
