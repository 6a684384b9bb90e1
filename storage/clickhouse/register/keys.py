"""API keys in the register: one entry for each key, deleted ones included, one for each secret, and
uses.

Strategy: a secret is claimed before its key is created, so that of two keys with one secret one is
refused. A claim without a key is void.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from storage.clickhouse.register.register import Register, encoded
from storage.errors import StorageRejected
from storage.keys import ApiKey, KeyChanges, KeyUpdate, changed, deleted, used

_KEY: Final = "key/"
_SECRET: Final = "secret/"  # noqa: S105 -- begins a name
_USE: Final = "use/"
_decoder: Final = msgspec.json.Decoder(ApiKey)


async def read_keys(register: Register) -> list[ApiKey]:
    entries = await register.entries(_KEY)
    uses = await _uses(register)
    keys = [used(_decoder.decode(entry.value), uses) for entry in entries.values() if entry.value]
    return sorted(keys, key=lambda key: (key.created_at_us, key.id))


async def key_version(register: Register) -> int:
    return sum(entry.version for entry in (await register.entries(_KEY)).values())


async def create_key(register: Register, key: ApiKey) -> None:
    """Store a new API key.

    Raises:
        StorageRejected: Its id or its secret is stored already.
    """
    content = encoded(key)
    known = await register.entries(_KEY)
    if key.id in known:
        raise StorageRejected(f"there is a key {key.id} already")

    def claim(owner: str) -> tuple[str, None]:
        has_it = (
            owner in known
            and _decoder.decode(known[owner].value).secret_sha256 == key.secret_sha256
        )
        if has_it:
            raise StorageRejected("there is a key of this secret already")
        return key.id, None

    def make(before: str) -> tuple[str, None]:
        if before:
            raise StorageRejected(f"there is a key {key.id} already")
        return content, None

    if key.secret_sha256 is not None:
        await register.change(_SECRET + key.secret_sha256.hex(), claim)
    await register.change(_KEY + key.id, make)


async def update_key(register: Register, key_id: str, changes: KeyChanges) -> KeyUpdate | None:
    return await _replace(register, key_id, lambda key: changed(key, changes))


async def delete_key(register: Register, key_id: str, at_us: int) -> KeyUpdate | None:
    return await _replace(register, key_id, lambda key: deleted(key, at_us))


async def touch_keys(register: Register, uses: Mapping[str, int]) -> None:
    await register.note_uses({_USE + key_id: at_us for key_id, at_us in uses.items()})


async def _uses(register: Register) -> dict[str, int]:
    return {key_id: entry.version for key_id, entry in (await register.entries(_USE)).items()}


async def _replace(
    register: Register, key_id: str, change: Callable[[ApiKey], ApiKey]
) -> KeyUpdate | None:
    uses = await _uses(register)

    def decide(before: str) -> tuple[str | None, KeyUpdate | None]:
        if before:
            key = used(_decoder.decode(before), uses)
        else:
            key = None
        if key is None or key.deleted_at_us is not None:
            return None, None
        after = change(key)
        return encoded(after), KeyUpdate(key, after)

    return await register.change(_KEY + key_id, decide)
