"""API keys of the store without a disk."""

from collections.abc import Mapping

from storage.errors import StorageRejected
from storage.keys import ApiKey, KeyChanges, KeyUpdate, changed, deleted, used
from storage.search.patterns import is_storable


class MemoryKeys:
    """Keys in a dict, in the order they were created."""

    def __init__(self) -> None:
        self._keys: dict[str, ApiKey] = {}
        self.version = 0
        """Counts changes."""

    def all(self) -> list[ApiKey]:
        """List every key, deleted ones included."""
        return list(self._keys.values())

    def create(self, key: ApiKey) -> None:
        if any(
            key.id == known.id or key.secret_sha256 == known.secret_sha256
            for known in self._keys.values()
        ):
            raise StorageRejected(f"key {key.id} is stored already")
        self._put(key)

    def update(self, key_id: str, changes: KeyChanges) -> KeyUpdate | None:
        key = self._living(key_id)
        if key is None:
            return None
        return self._replace(key, changed(key, changes))

    def delete(self, key_id: str, at_us: int) -> KeyUpdate | None:
        key = self._living(key_id)
        if key is None:
            return None
        return self._replace(key, deleted(key, at_us))

    def touch(self, uses: Mapping[str, int]) -> None:
        for key_id, key in self._keys.items():
            self._keys[key_id] = used(key, uses)

    def _living(self, key_id: str) -> ApiKey | None:
        key = self._keys.get(key_id)
        if key is None or key.deleted_at_us is not None:
            return None
        return key

    def _replace(self, before: ApiKey, after: ApiKey) -> KeyUpdate:
        self._put(after)
        return KeyUpdate(before, after)

    def _put(self, key: ApiKey) -> None:
        texts = (
            key.name,
            key.last4,
            key.project or "",
            key.user_id or "",
            *(key.scopes or ()),
            *(key.agents or ()),
        )
        if not all(map(is_storable, texts)):
            raise StorageRejected(f"key {key.id} has text that cannot be written as UTF-8")

        self._keys[key.id] = key
        self.version += 1
