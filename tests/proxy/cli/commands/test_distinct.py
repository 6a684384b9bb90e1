"""A suite with a few exchanges of each request."""

import json
from pathlib import Path

from proxy.cli.commands.files.export import distinct_lines


def line(number: int, target: str) -> str:
    path, _, query = target.partition("?")
    return json.dumps(
        {"id": str(number), "started_at_us": number, "method": "GET", "path": path, "query": query}
    )


def test_the_newest_of_each_request_stay(tmp_path: Path) -> None:
    """In their order, behind the line that names the suite; requests are the same in whatever
    spelling.
    """
    targets = ["/a?x=1&y=2", "/b", "/a?y=2&x=1", "/a?x=1&y=3", "/b?", "/a?x=1&y=2", "/b"]
    suite = tmp_path / "suite.ndjson"
    suite.write_text(
        "\n".join(['{"suite": 1}', *(line(n, target) for n, target in enumerate(targets))]) + "\n"
    )

    for per_request, limit, kept in (
        (1, None, [3, 5, 6]),
        (2, None, [2, 3, 4, 5, 6]),
        (9, None, [*range(7)]),
        (2, 2, [5, 6]),
    ):
        first, *lines = distinct_lines(suite, per_request, limit)
        assert json.loads(first) == {"suite": 1}
        assert [int(json.loads(each)["id"]) for each in lines] == kept
