"""A disk without room: a change is refused, or it is there wholly; the next one is made on what is there."""

import asyncio
from pathlib import Path

from storage.clickhouse.link import Link
from storage.clickhouse.register.register import Changes, Entries, Register
from storage.errors import StorageUnavailable
from tests.support.clickhouse import Server, own_server
from tests.support.disks import fill, small_disk

LEFT_BYTES = (0, 4096, 8192, 16384, 65536)
"""In the first of these no statement is read, then no view is written, then no row."""


async def change(register: Register, name: str) -> bool:
    """Make a change of two entries; answers whether it is said to be made."""

    def decide(entries: Entries) -> tuple[Changes, bool]:
        assert name not in entries
        return {name: "x" * 2000, f"{name}, too": name}, True

    try:
        return await register.change("kind", "", decide)
    except StorageUnavailable:
        return False


async def test_a_change_is_whole_on_a_full_disk(engine: Server, tmp_path: Path) -> None:
    """Whatever the server could not write; also where it is killed before there is room."""
    disk = tmp_path / "disk"
    with small_disk(disk, "200m"), own_server(engine.engine, place=disk) as own:
        link = Link(own.address(own.database()))
        register = Register(link)
        await register.create()
        made, refused = {"first"}, 0
        assert await change(register, "first")
        for left in LEFT_BYTES:
            ballast = await asyncio.to_thread(fill, disk, left)
            for number in range(3):
                name = f"{left}-{number}"
                if await change(register, name):
                    made.add(name)
                else:
                    refused += 1
            if left == LEFT_BYTES[2]:
                own.kill()
            ballast.unlink()
            if left == LEFT_BYTES[2]:
                await asyncio.to_thread(own.start)
                await change(register, "on the old connection")
            assert await change(register, f"after {left}")
            made.add(f"after {left}")
        entries = await register.entries("kind")
        await link.close()
    names = {name for name in entries if not name.endswith(", too")}
    assert made <= names
    assert refused
    assert entries.keys() == names | {f"{name}, too" for name in names}
