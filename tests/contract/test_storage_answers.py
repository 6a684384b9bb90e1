"""All APIs answer alike over each store: a sample of what `tests.support.answers` asks."""

from pathlib import Path

import pytest

from storage.relational.reads import histogram
from tests.contract.backends import BACKENDS, DENSE, Backend
from tests.support.answers import answers, differing

RECORDS = 400
ONE_IN = 23


@pytest.mark.parametrize("other", DENSE[2:], ids=lambda backend: backend.name)
async def test_the_apis_answer_alike_over_each_store(
    other: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists, facets, sums, steps, groups and the five dialects, scoped and not: the same bytes as
    over SQLite.
    """
    monkeypatch.setattr(histogram, "MAX_SCAN_ROWS_IN_HOURS", histogram.MAX_SCAN_ROWS_IN_HOURS)
    found = []
    for backend in (next(each for each in BACKENDS if each.name == "memory"), other):
        async with await backend.open(tmp_path) as store:
            found.append(await answers(store, RECORDS, ONE_IN))
    assert len(found[0]) > 90
    assert differing(*found) == []
