"""The last place of a record that a store refuses even escaped: a file of its own, for an operator to look at."""

import logging
from pathlib import Path

import msgspec

from storage.errors import StorageRejected
from storage.record import Entry, format_id

logger = logging.getLogger(__name__)


def quarantine(directory: Path, entry: Entry, error: StorageRejected) -> None:
    """Write a record to a file of its own; one that cannot even be written is only logged."""
    path = directory / f"{entry.record.id.hex()}.msgpack"
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.write_bytes(msgspec.msgpack.encode(entry))
    except (OSError, ValueError, TypeError, OverflowError) as failure:
        logger.error("record %s was refused (%s) and could not be kept: %s", entry.record.id.hex(), error, failure)
    else:
        logger.error("record %s was refused (%s) and is kept in %s", format_id(entry.record.id), error, path)
