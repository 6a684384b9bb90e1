"""Look a record up by what a reader has of its id, in the store and among those in flight."""

from api.http.errors import Refused
from api.services import Services
from storage.record import Record, parse_id


async def find_record(services: Services, text: str) -> Record:
    """Return the record of an id in any of its spellings.

    Raises:
        Refused: 404, there is none.
    """
    record_id = parse_id(text)
    if record_id is not None:
        flying = [record for record in services.in_flight() if record.id == record_id]
        record = await services.storage.get(record_id)
        if record is not None:
            return record
        if flying:
            return flying[0]
    raise Refused(404, f"there is no record {text[:100]!r}")
