"""Headers and places in bodies as fields of a list, and as columns of a file."""

import csv
import io
import json

import pytest

from api.native import fields
from storage.record import Entry
from tests.api.conftest import BEARER, Client, World, ask
from tests.api.samples import make_body, make_event, make_in_flight, make_payload, make_record
from tests.support.cases import each_of

BODY = make_body(b'{"user": {"id": 42}, "none": null, "formula": "=1+1"}')
CUT = make_body(b'{"user"', truncated=True, size=900)


async def fill(world: World) -> None:
    """Store three exchanges, one without a payload, an event, and one that is a call."""
    entries = [Entry(make_record(1), make_payload(BODY)), Entry(make_record(2), make_payload(CUT))]
    call = Entry(make_event(5), make_payload(BODY))
    await world.store(*entries, make_record(3), make_event(4), call)


async def test_fields_stand_beside_the_record(client: Client, world: World) -> None:
    """Each with its value, or why there is none; nothing is read unless it is asked for."""
    await fill(world)
    flying = make_in_flight(9)
    world.in_flight, world.known = [flying], {flying.id: make_payload(BODY)}
    page = await ask(
        client, "/api/records?kind=all&in_flight=true&fields=header.x-a,body.user.id,%20body.none"
    )
    known = {"value": "1, 2", "state": "known", "is_cut": False}
    shown = [record["fields"] for record in page["records"]]
    assert [each["header.x-a"] for each in shown[-2:]] == [known, known]
    states = [[each[name]["state"] for name in ("body.user.id", "body.none")] for each in shown]
    assert states == [
        ["known", "null"],
        ["known", "null"],
        ["absent"] * 2,
        ["not_kept"] * 2,
        ["cut", "cut"],
        ["known", "null"],
    ]
    assert shown[-1]["body.user.id"]["value"] == "42"
    assert "fields" not in (await ask(client, "/api/records"))["records"][0]


@each_of(
    ("asked", "said"),
    [
        ("status", "fields is 'status', expected names such as header.x-tenant"),
        ("body.", "fields is 'body.'"),
        (
            ",".join(f"body.a{n}" for n in range(21)),
            "fields is '21 names', expected at most 20 names",
        ),
        ("body." + "x" * 200, "of at most 200 characters"),
    ],
)
async def test_what_is_no_field_is_refused(client: Client, asked: str, said: str) -> None:
    """With the value and the limit."""
    assert said in (await ask(client, f"/api/records?fields={asked}", 400))["detail"]


async def test_a_page_of_too_many_bytes_ends_early(
    client: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so, and goes on where it ended: nothing is missing, nothing doubled."""
    monkeypatch.setattr(fields, "MAX_PAGE_BYTES", 1000)
    entries = [Entry(make_record(n), make_payload(make_body(b'{"n": %d}' % n))) for n in range(120)]
    await world.store(*entries)
    seen: list[str] = []
    lengths = []
    cursor = ""

    for _ in range(5):
        page = await ask(client, f"/api/records?fields=body.n&cursor={cursor}")
        lengths.append((len(page["records"]), page["complete"]))
        seen += [record["fields"]["body.n"]["value"] for record in page["records"]]
        cursor = page["next_cursor"] or ""
        if not cursor:
            break

    assert seen == [str(n) for n in reversed(range(120))]
    assert lengths == [(50, False), (50, False), (20, True)]


async def test_they_are_columns_of_a_file(client: Client, world: World) -> None:
    """In the order that was asked for; a cell without a value says why, and no value is a formula."""
    await fill(world)
    asked = "fields=status,body.user.id,path,body.none,body.formula,header.x-b"
    response = await client.get(f"/api/export?format=csv&kind=all&{asked}", headers=BEARER)
    rows = list(csv.reader(io.StringIO(await response.text())))
    assert rows == [
        asked.removeprefix("fields=").split(","),
        ["200", "42", "/v1/users/1", "null", "'=1+1", ""],
        ["200", "[cut]", "/v1/users/2", "[cut]", "[cut]", ""],
        ["200", *("[not kept]" if name else "/v1/users/3" for name in (1, 0, 1, 1, 1))],
        ["", "", "", "", "", ""],
        ["", "42", "", "null", "'=1+1", ""],
    ]
    response = await client.get("/api/export?fields=id,body.user.id", headers=BEARER)
    line = json.loads((await response.text()).splitlines()[0])
    assert sorted(line) == ["fields", "id"]
    assert line["fields"]["body.user.id"]["value"] == "42"
    await ask(client, "/api/export?format=csv&fields=stat", 400)
