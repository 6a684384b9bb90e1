"""A suite with a few exchanges of each request."""

import json

from proxy.cli.commands.files.export import distinct


def line(number: int, target: str) -> bytes:
    path, _, query = target.partition("?")
    record = {"id": str(number), "started_at_us": number, "method": "GET"}
    return json.dumps({**record, "path": path, "query": query}).encode()


def test_the_first_of_each_request_stay() -> None:
    """Requests are the same in whatever spelling."""
    targets = ["/b", "/a?x=1&y=2", "/b?", "/a?x=1&y=3", "/a?y=2&x=1", "/b", "/a?x=1&y=2"]
    lines = [line(number, target) for number, target in enumerate(targets)]
    for per_request, kept in ((1, [0, 1, 3]), (2, [0, 1, 2, 3, 4]), (9, [*range(7)])):
        found = distinct(lines, per_request)
        assert [int(json.loads(each)["id"]) for each in found] == kept
