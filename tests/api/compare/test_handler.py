"""`GET /api/records/{a}/compare/{b}` through a whole application."""

import json

from storage.query import Scope
from storage.record import format_id
from tests.api.conftest import Client, World, ask
from tests.api.samples import make_body, make_payload, make_record


async def test_two_records_are_compared(world: World, client: Client) -> None:
    """Both are described, and what differs is from the first to the second."""
    a = make_record(1, path="/x")
    b = make_record(2, path="/x", status=500)
    payloads = [make_payload(None, make_body(json.dumps({"n": n}).encode())) for n in (1, 2)]
    for record in (a, b):
        record.request_bytes = 0
    await world.store((a, payloads[0]), (b, payloads[1]))
    found = await ask(client, f"/api/records/{format_id(a.id)}/compare/{b.id.hex()}")
    assert [found[name]["id"] for name in "ab"] == [format_id(a.id), format_id(b.id)]
    assert (found["equal"], found["complete"]) == (False, True)
    changed = {
        part["part"]: [each["path"] for each in part["changes"]]
        for part in found["parts"]
        if part["changes"]
    }
    assert changed == {"status": ["status"], "response_body": [".n"]}
    assert {"name": "duration_us", "a": 102_000, "b": 102_000} in found["measures"]


async def test_named_places_are_ignored(world: World, client: Client) -> None:
    """Each given once; an empty one is none. What is no place is refused, and so is another
    parameter.
    """
    a = make_record(1)
    b = make_record(2)
    payloads = [
        make_payload(None, make_body(json.dumps({"n": n, "at": n}).encode())) for n in (1, 2)
    ]
    await world.store((a, payloads[0]), (b, payloads[1]))
    path = f"/api/records/{format_id(a.id)}/compare/{format_id(b.id)}"
    found = await ask(client, f"{path}?ignore=.n&ignore=at")
    part = next(part for part in found["parts"] if part["part"] == "response_body")
    assert (part["equal"], [each["path"] for each in part["set_apart"]]) == (True, [".n", ".at"])
    assert not (await ask(client, f"{path}?ignore="))["equal"]
    for query in ("ignore=a..b", "more=1"):
        await ask(client, f"{path}?{query}", 400)


async def test_a_body_that_no_text_can_hold_is_answered(world: World, client: Client) -> None:
    """Half a surrogate pair, depth, bytes: each is an answer, never an error."""
    bodies = [
        b'{"\\ud800": "\\udfff"}',
        b"[" * 990 + b"]" * 990,
        b"\xff\xfe",
        b'{"a": 1e400}',
        b"data: \xed\xa0\x80\n\n",
    ]
    records = [make_record(n) for n in range(1, 1 + len(bodies))]
    await world.store(
        *((r, make_payload(None, make_body(b))) for r, b in zip(records, bodies, strict=True))
    )

    for a in records:
        for b in records:
            path = f"/api/records/{format_id(a.id)}/compare/{format_id(b.id)}"
            parts = {part["part"]: part for part in (await ask(client, path))["parts"]}
            assert parts["events" if "events" in parts else "response_body"]["equal"] == (a is b)


async def test_a_record_out_of_scope_is_not_there(world: World, client: Client) -> None:
    """On either side."""
    own = make_record(1, project="proj_a")
    foreign = make_record(2, project="proj_b")
    await world.store(own, foreign)
    reader = world.admit("reader", Scope(projects=("proj_a",)))
    ids = [format_id(record.id) for record in (own, foreign)]

    for a, b, status in ((0, 0, 200), (0, 1, 404), (1, 0, 404)):
        path = f"/api/records/{ids[a]}/compare/{ids[b]}"
        response = await client.get(path, headers=reader)
        assert response.status == status

    assert (
        "no record 'nothing'"
        in (await ask(client, f"/api/records/{ids[0]}/compare/nothing", 404))["detail"]
    )
