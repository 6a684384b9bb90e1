"""The key snapshot: the API keys that workers know, in a small file replaced as a whole.

Strategy: workers never open the store. So the collector writes every key that is not deleted,
hashes only, to a new file and renames it over the old one: a reader gets the old snapshot or the
new one. The file outlives both processes, so a worker that starts while the store is unavailable
still knows the keys. Mode 0600.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from proxy.process.files import replace_file
from storage.keys import ApiKey

SNAPSHOT_FILE: Final = "keys.snapshot"
_FORMAT: Final = 1


class KnownKey(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The part of a key that admission needs."""

    secret_sha256: bytes
    id: bytes
    """Key id, 16 bytes."""
    scopes: tuple[str, ...] | None
    """Allowed scopes; null allows all."""
    agents: tuple[str, ...] | None
    """Allowed agents; null allows all."""
    expires_at_us: int | None
    disabled: bool


class _Snapshot(msgspec.Struct, frozen=True, array_like=True):
    format: int
    keys: list[KnownKey]


_decoder: Final = msgspec.msgpack.Decoder(_Snapshot)


def encode_snapshot(keys: Iterable[ApiKey]) -> bytes:
    known = [
        KnownKey(
            key.secret_sha256,
            UUID(key.id).bytes,
            key.scopes,
            key.agents,
            key.expires_at_us,
            key.disabled,
        )
        for key in keys
        if key.secret_sha256 is not None
    ]
    return msgspec.msgpack.encode(_Snapshot(_FORMAT, known))


def decode_snapshot(raw: bytes) -> Mapping[bytes, KnownKey]:
    """Return the keys by the hash of their secret.

    Raises:
        ValueError: `raw` is not a snapshot, or one of another format.
    """
    snapshot = _decoder.decode(raw)
    if snapshot.format != _FORMAT:
        raise ValueError(
            f"a key snapshot of format {snapshot.format}, this sidelog reads format {_FORMAT}"
        )
    return {key.secret_sha256: key for key in snapshot.keys}


def write_snapshot(directory: Path, raw: bytes) -> None:
    """Replace the snapshot of a data directory. Blocks until it is on disk.

    Raises:
        OSError: it cannot be written; the old one is still there.
    """
    replace_file(directory / SNAPSHOT_FILE, raw)


def read_snapshot(directory: Path) -> Mapping[bytes, KnownKey]:
    """Read the snapshot of a data directory.

    Raises:
        OSError: it does not exist, or cannot be read.
        ValueError: it is damaged.
    """
    return decode_snapshot((directory / SNAPSHOT_FILE).read_bytes())
