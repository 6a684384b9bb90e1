"""The export of all signals: none without an endpoint, and an end that is waited for, though not
for ever.
"""

import asyncio
from pathlib import Path

import pytest

from proxy.otel import export as module
from proxy.otel.export import Export
from proxy.otel.exporter import Progress
from proxy.settings.model import OtelSettings
from storage.record import Batch, Entry
from storage.sqlite.store import SqliteStorage
from tests.storage.samples import make_record
from tests.support.otlp import Receiver
from tests.support.upstream import running


def settings(endpoint: str) -> OtelSettings:
    """Settings with a pause that no test waits for."""
    return OtelSettings(endpoint=endpoint)


async def test_without_an_endpoint_there_is_none(tmp_path: Path) -> None:
    """The task ends at once."""
    async with await SqliteStorage.open(None) as store:
        export = Export(settings(""), store, "sidecar-1", lambda: 0)
        await export.run()
        assert export.describe() == []


async def test_both_signals_are_sent_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was stored after the last look, too."""
    monkeypatch.setattr(module, "FINISH_S", 60.0)
    receiver = Receiver()
    stored = 0

    with running(receiver.app()) as url:
        async with (
            await SqliteStorage.open(None, read_budget_s=60.0) as store,
            asyncio.TaskGroup() as tasks,
        ):
            export = Export(settings(url), store, "sidecar-1", lambda: stored)
            export.begin_at(Progress(0, 0))
            running_export = tasks.create_task(export.run())
            await store.commit(Batch("sidecar-1", [Entry(make_record())]))
            stored = 1
            await export.finish(running_export)
            assert running_export.done()
            shown = export.describe()

    assert [len(receiver.spans()), len(receiver.logs())] == [1, 1]
    assert [(each["signal"], each["exported"], each["waiting_records"]) for each in shown] == [
        ("traces", 1, 0), ("logs", 1, 0),
    ]  # fmt: skip


async def test_an_end_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that takes the request and never answers holds nobody up; nothing is left open."""
    monkeypatch.setattr(module, "FINISH_S", 0.2)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, await SqliteStorage.open(None, read_budget_s=60.0) as store:
        await store.commit(Batch("sidecar-1", [Entry(make_record())]))
        export = Export(settings(url), store, "sidecar-1", lambda: 1)
        export.begin_at(Progress(0, 0))

        async with asyncio.TaskGroup() as tasks:
            running_export = tasks.create_task(export.run())
            await export.finish(running_export)
            assert not running_export.done()
            running_export.cancel()

        assert export.exporters[0].waiting_records == 1
