"""Storage errors, grouped by what the caller does next: wait and retry, isolate the value, or give
up.

Every backend translates its library's exceptions into these at its edge, `from exc`.
"""


class StorageError(Exception):
    """Base class of all storage errors; never raised itself."""


class StorageUnavailable(StorageError):
    """The store cannot be reached, is locked, full or shutting down: the same batch may succeed
    later.
    """


class StorageOpening(StorageUnavailable):
    """The store is being opened without an error so far; it will be there in a moment."""


class StorageSlow(StorageUnavailable):
    """The store did not answer in a short time but may be there: the caller gave up the request for
    other work.
    """


class StorageDamaged(StorageUnavailable):
    """The store exists but is damaged: waiting does not repair it."""


class StorageRejected(StorageError):
    """The store refuses a value of this batch: retrying the whole batch is pointless, bisecting it
    helps.
    """


class StorageMisconfigured(StorageError):
    """The address can never work, whatever the state of the store; raised on opening."""


class SchemaTooNew(StorageError):
    """A newer sidelog wrote the store in a layout that this version cannot read; the store is
    unchanged.
    """

    def __init__(self, layout: int, newest: int) -> None:
        super().__init__(
            f"this database was written by a newer sidelog (layout {layout}, this one supports up "
            f"to {newest}); upgrade sidelog"
        )


class SchemaTooOld(StorageError):
    """The store has an older layout and was opened read-only; the store is unchanged."""

    def __init__(self, layout: int, newest: int) -> None:
        super().__init__(
            f"this database was written by an older sidelog (layout {layout}, this one reads "
            f"{newest})"
        )
        self.layout = layout
        self.newest = newest
