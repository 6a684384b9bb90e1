"""Which tests of the contract run over ClickHouse when: all with `make test-clickhouse`, some with `make test`."""

from typing import Final

import pytest

from tests.contract.backends import Backend

SAMPLE: Final = frozenset({"test_storage.py", "test_storage_by_id.py"})
"""Files that `make test` runs over Debian's server, too."""
MISSING: Final[dict[str, str]] = {}
"""What ClickHouse does not do yet: a test, its backend left out → why. To be emptied."""
NOT_RUN: Final[dict[str, str]] = {
    "test_storage_read_only.py": "a store cannot be opened to be read only yet",
}
"""The same of whole files, which are not run. To be emptied."""


def mark(items: list[pytest.Item]) -> None:
    """Mark the tests over ClickHouse."""
    for item in items:
        backend = _backend_of(item)
        if backend is None or backend.kind != "clickhouse":
            continue
        if item.path.name not in SAMPLE or backend.name != "clickhouse":
            item.add_marker(pytest.mark.clickhouse)
        name = item.name.replace(f"[{backend.name}]", "").replace(f"[{backend.name}-", "[")
        if (reason := MISSING.get(name)) is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
        if (reason := NOT_RUN.get(item.path.name)) is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, run=False))


def _backend_of(item: pytest.Item) -> Backend | None:
    call = getattr(item, "callspec", None)
    values = () if call is None else call.params.values()
    return next((value for value in values if isinstance(value, Backend)), None)
