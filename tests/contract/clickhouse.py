"""Which tests of the contract run over ClickHouse when: all with `make test-clickhouse`, some with `make test`.

Of tests that differ in a parameter only, the current engine is asked a sample: the others are `wide`.
"""

from collections import Counter
from typing import Final

import pytest

from tests.contract.backends import Backend

SAMPLE: Final = frozenset({"test_storage.py", "test_storage_by_id.py"})
"""Files that `make test` runs over Debian's server, too."""
SAMPLED: Final = 6
"""Of a test's parameters every sixth is asked of the current engine, too."""


def mark(items: list[pytest.Item]) -> None:
    """Mark the tests over ClickHouse."""
    asked: Counter[str] = Counter()
    for item in items:
        backend = _backend_of(item)
        if backend is None or backend.kind != "clickhouse":
            continue
        if item.path.name not in SAMPLE or backend.name != "clickhouse":
            item.add_marker(pytest.mark.clickhouse)
        if backend.name == "clickhouse-chdb":
            test = item.nodeid.partition("[")[0]
            if asked[test] % SAMPLED:
                item.add_marker(pytest.mark.wide)
            asked[test] += 1


def _backend_of(item: pytest.Item) -> Backend | None:
    call = getattr(item, "callspec", None)
    values = () if call is None else call.params.values()
    return next((value for value in values if isinstance(value, Backend)), None)
