"""When a name is to be renewed, and when it may be another's."""

import pytest

from storage.errors import StorageUnavailable
from storage.relational.writes.lease import NameLease


class Lease(NameLease):
    """Taken by a word."""

    renew_s = 5.0
    expires_s = 20.0

    async def renew(self) -> None:
        """Hold it, unless another does."""
        if not self.is_lost:
            self._renewed_at_s = self._clock()


async def test_a_name_is_asked_for_again_after_a_silence() -> None:
    """Before anything is committed; while it is young nobody asks, and when it is lost nothing is."""
    now_s = 100.0
    lease = Lease("one", "holder", lambda: now_s)
    assert (lease.is_due, lease.may_be_lost) == (True, True)
    await lease.confirm(lease.renew)
    assert (lease.is_due, lease.may_be_lost) == (False, False)
    now_s += 5
    assert (lease.is_due, lease.may_be_lost) == (True, False)
    now_s += 15
    assert lease.may_be_lost
    lease.is_lost = True
    with pytest.raises(StorageUnavailable, match="instance 'one'; give each its own name"):
        await lease.confirm(lease.renew)
    lease.is_lost = False
    await lease.confirm(lease.renew)
    assert not lease.is_due
