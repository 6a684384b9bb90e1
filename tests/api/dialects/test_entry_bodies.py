"""Bodies beside entries."""

from api.dialects.entries import Halves, read_bodies
from api.dialects.entry_pages import EntryQuery, read_entry_page
from tests.api.conftest import World
from tests.api.samples import make_body, make_payload, make_record


async def test_bodies_are_capped_over_the_whole_answer(world: World) -> None:
    """What no longer fits is left out and says so; a smaller one behind it still comes."""
    await world.store(
        *(
            (make_record(n), make_payload(make_body(b"x" * size)))
            for n, size in enumerate((60, 60, 30), 1)
        )
    )
    page = await read_entry_page(world.storage, EntryQuery(halves=Halves(response=False), limit=9))
    fields = await read_bodies(world.storage, page.entries, frozenset({"request"}), max_bytes=100)
    assert [len(str(shown["requestBody"] or "")) for shown in fields] == [60, 0, 30]
    assert [shown.get("bodyOmitted", False) for shown in fields] == [False, True, False]
