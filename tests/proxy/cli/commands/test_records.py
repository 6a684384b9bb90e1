"""What happened around a record, asked of a real admin application."""

import asyncio
import json

import pytest

from proxy.cli import app
from storage.record import Batch, Entry, format_id
from tests.api.samples import START_US, make_record
from tests.support.memory_store import MemoryStorage

SECOND_US = 1_000_000


def fill(store: MemoryStorage, service: str | None) -> str:
    """Store records before and after one, near and far, and one elsewhere; return the id of the one."""
    moments = {"/earlier": -70, "/before": -59, "/shown": 0, "/after": 59, "/later": 70}
    records = [
        make_record(
            n, path=path, service=service, route_id="r", started_at_us=START_US + s * SECOND_US, ended_at_us=START_US
        )
        for n, (path, s) in enumerate(moments.items())
    ]
    elsewhere = make_record(9, path="/elsewhere", service=service and "other", route_id="other")
    asyncio.run(store.commit(Batch("side-1", [Entry(record) for record in (*records, elsewhere)])))
    return format_id(records[2].id)


@pytest.mark.parametrize("service", ["shop", None])
def test_around_a_record_is_the_minute_before_and_after(
    admin: MemoryStorage, service: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """In its service, or where it has none on its route, oldest first; as a table or as lines of JSON."""
    shown = fill(admin, service)
    assert app.main(["get", shown, "--around", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["path"] for line in lines] == ["/before", "/shown", "/after"]
    assert app.main(["get", shown, "--around"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


@pytest.mark.usefixtures("admin")
def test_around_goes_with_json_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """It lists records, of which nothing is one body, archive or command."""
    for other in ("--raw", "--curl", "--har"):
        assert app.main(["get", "x", "--around", other]) == 2
        assert "--around --json" in " ".join(capsys.readouterr().err.replace("│", " ").split())
