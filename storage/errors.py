"""Storage errors, grouped by what the caller does next: wait and retry, isolate the value, or give
up.

Every backend translates its library's exceptions into these at its edge, `from exc`.
"""


class StorageError(Exception):
    """Base of all kinds; never raised itself."""


class StorageUnavailable(StorageError):
    """The store cannot be reached, is locked, full or shutting down: the same batch may succeed
    later.
    """


class StorageOpening(StorageUnavailable):
    """The store is being opened, and nothing has gone wrong so far: it is there in a moment."""


class StorageSlow(StorageUnavailable):
    """The store did not answer within a short time, and may be there: what was asked was given up
    for other reasons.
    """


class StorageDamaged(StorageUnavailable):
    """The store is there and broken: waiting will not mend it."""


class StorageRejected(StorageError):
    """The store refuses a value of this batch: retrying the whole batch is pointless, bisecting it
    is not.
    """


class StorageMisconfigured(StorageError):
    """The address of the store can never work, whatever the store does; raised when it is opened."""


class SchemaTooNew(StorageError):
    """The store was written by a newer sidelog whose layout this one cannot read; nothing is
    touched.
    """

    def __init__(self, layout: int, newest: int) -> None:
        super().__init__(
            f"this database was written by a newer sidelog (layout {layout}, this one supports up "
            f"to {newest}); upgrade sidelog"
        )


class SchemaTooOld(StorageError):
    """The store has an older layout, and was opened only to be read; nothing is touched."""

    def __init__(self, layout: int, newest: int) -> None:
        super().__init__(
            f"this database was written by an older sidelog (layout {layout}, this one reads "
            f"{newest})"
        )
        self.layout = layout
        self.newest = newest
