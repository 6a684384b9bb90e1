"""API keys in the register: an entry for each key, deleted ones included; their uses are marks."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from storage.clickhouse.register.register import Changes, Entries, Register, encoded
from storage.errors import StorageRejected
from storage.keys import ApiKey, KeyChanges, KeyUpdate, changed, deleted, used

_KIND: Final = "key"
_decoder: Final = msgspec.json.Decoder(ApiKey)


async def read_keys(register: Register) -> list[ApiKey]:
    entries, uses = await register.entries(_KIND), await register.marks(_KIND)
    keys = [used(_decoder.decode(content), uses) for content in entries.values()]
    return sorted(keys, key=lambda key: (key.created_at_us, key.id))


async def key_version(register: Register) -> int:
    return await register.version(_KIND)


async def create_key(register: Register, key: ApiKey) -> None:
    """Store a new key.

    Raises:
        StorageRejected: Its id or its hash is stored already.
    """

    def decide(entries: Entries) -> tuple[Changes, None]:
        if key.id in entries:
            raise StorageRejected(f"there is a key {key.id} already")
        hashes = {_decoder.decode(content).secret_sha256 for content in entries.values()}
        if key.secret_sha256 is not None and key.secret_sha256 in hashes:
            raise StorageRejected("there is a key of this secret already")
        return {key.id: encoded(key)}, None

    await register.change(_KIND, "", decide)


async def update_key(register: Register, key_id: str, changes: KeyChanges) -> KeyUpdate | None:
    return await _replace(register, key_id, lambda key: changed(key, changes))


async def delete_key(register: Register, key_id: str, at_us: int) -> KeyUpdate | None:
    return await _replace(register, key_id, lambda key: deleted(key, at_us))


async def touch_keys(register: Register, uses: Mapping[str, int]) -> None:
    await register.mark(_KIND, uses)


async def _replace(register: Register, key_id: str, change: Callable[[ApiKey], ApiKey]) -> KeyUpdate | None:
    uses = await register.marks(_KIND)

    def decide(entries: Entries) -> tuple[Changes, KeyUpdate | None]:
        before = used(_decoder.decode(entries[key_id]), uses) if key_id in entries else None
        if before is None or before.deleted_at_us is not None:
            return {}, None
        after = change(before)
        return {key_id: encoded(after)}, KeyUpdate(before, after)

    return await register.change(_KIND, "", decide)
