"""What whole runs share."""

from collections.abc import Iterator

import pytest

from tests.support.upstream import running, service


@pytest.fixture(scope="package")
def upstream() -> Iterator[str]:
    """An ordinary service."""
    with running(service()) as url:
        yield url
