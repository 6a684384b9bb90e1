"""What an operator is shown is read from shared memory at the moment of asking."""

import os
from pathlib import Path

import msgspec

from api.health import StatusShown
from proxy.collector.key_publisher import KeyPublisher
from proxy.collector.watch.status import ReplicaWatch, StatusView
from proxy.collector.watch.workers import Workers
from proxy.enrich.attribution import KeyIndex
from proxy.otel.export import Export
from proxy.ring.segment_layout import HEAD
from proxy.settings.model import OtelSettings
from storage.base import Storage
from storage.writer.deferred import DeferredStorage
from storage.writer.retention import Limits, Retention
from storage.writer.size_cap import SizeCap
from storage.writer.text_indexing import TextIndexing
from tests.support.memory_store import MemoryStorage
from tests.support.rings import INSTANCE, SETTINGS, Collecting, RingWorker, collecting


async def view_of(plane: Collecting) -> StatusView:
    """The view of a running collector."""

    async def opened() -> Storage:
        return plane.store

    deferred = DeferredStorage(opened)
    await deferred.open()
    deferred.enable()
    workers = Workers(plane.sources.attached)
    workers.update('[{"name": "worker 0", "pid": 7, "ready": true, "ring": ""}]')
    return StatusView(
        settings=SETTINGS,
        instance=INSTANCE,
        sources=plane.sources,
        writer=plane.writer,
        deferred=deferred,
        retention=Retention(plane.store, Limits()),
        size_cap=SizeCap(plane.store, 0),
        text_indexing=TextIndexing(plane.store),
        replicas=ReplicaWatch(plane.store),
        workers=workers,
        keys=KeyPublisher(plane.store, Path(), plane.sources.attached, KeyIndex()),
        export=Export(OtelSettings(), plane.store, INSTANCE, lambda: 0),
    )


async def test_rings_writer_and_configuration_are_described(
    tmp_path: Path, worker: RingWorker
) -> None:
    """One entry a ring; everything is plain JSON."""
    worker.record(3)
    async with collecting(tmp_path, MemoryStorage()) as plane:
        view = await view_of(plane)
        await plane.until_stored(3)
        shown = msgspec.json.decode(msgspec.json.encode(view.describe()))
        (ring,) = shown["rings"]
        known = {
            "name": "worker 0",
            "pid": 7,
            "ready": True,
            "ring": "",
            "leaving": False,
            "silent": False,
            "read": True,
        }
        assert shown["workers"] == [known]
        known = {
            "source": worker.source.hex(),
            "pid": os.getpid(),
            "used_bytes": 0,
            "pushed": 3,
            "taken": 3,
            "refused": 0,
            "corrupt": 0,
            "requests": 3,
            "in_flight": 0,
            "recording_waits": 0,
            "recording_standstills": 0,
        }
        assert ring | known == ring
        assert ring["worker_alive"] is True
        assert 0 <= ring["uptime_s"] < 60
        assert shown["collector"]["pid"] == os.getpid()
        known_to_all = msgspec.to_builtins(msgspec.convert(shown, StatusShown))
        assert known_to_all.keys() >= shown.keys() - {"uptime_s"}
        for name in ("retention", "writer", "storage", "text_index", "keys", "collector"):
            assert known_to_all[name].keys() == shown[name].keys()
        assert known_to_all["rings"][0].keys() == ring.keys()
        whole = {
            "instance": INSTANCE,
            "draining": False,
            "storage": {"up": True, "reason": None, "warning": None, "replicas": []},
            "keys": {"reason": None},
        }
        assert shown | whole == shown
        assert shown["configuration"]["routes"][0]["id"] == "shop"


async def test_a_damaged_ring_does_not_hide_the_others(tmp_path: Path, worker: RingWorker) -> None:
    """The status can be read while a ring's head is garbage."""
    async with collecting(tmp_path, MemoryStorage(), is_draining=False) as plane:
        worker.segment.cells[HEAD] = 1 << 60
        assert (await view_of(plane)).describe()["rings"]
