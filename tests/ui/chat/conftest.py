"""The functions of the chat's modules, asked in the browser that they run in."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from tests.support.browser import Page
from tests.ui.conftest import Ports, open_site

Ask = Callable[..., Awaitable[Any]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asked(chromium: Ports, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    """A page of the UI for all tests of a file: functions keep nothing, and to open it is most of
    what a test costs.
    """
    async for site in open_site(chromium, tmp_path_factory.mktemp("chat"), is_filled=False):
        await site.open("/keys")
        yield site.page


@pytest.fixture
def ask(asked: Page) -> Ask:
    """`ask("sent.js", "sentIn", record)` calls a function of a module with values, and gives what
    it returns.
    """

    async def call(module: str, name: str, *values: object) -> Any:
        script = (
            f'import("/ui/newest/chat/{module}").then((module) => '
            f"module.{name}(...{json.dumps(values)}))"
        )
        returned = await asked.evaluate(script)
        assert asked.problems == []
        return returned

    return call


def record_with(
    request: object = None, response: object = None, *, keep: int | None = None, tail: int = 0
) -> dict[str, object]:
    """Make what the chat reads of a record: bodies as text or JSON, of the request the first and
    last characters.
    """
    return {"request": message(request, keep, tail), "response": message(response)}


def message(content: object, keep: int | None = None, tail: int = 0) -> dict[str, object] | None:
    """Make one half of a record, cut where `keep` is given."""
    if content is None:
        return None
    text = content if isinstance(content, str) else json.dumps(content)
    head, end = (text, "") if keep is None else (text[:keep], text[len(text) - tail :])
    body = {
        "encoding": "utf-8",
        "head": head,
        "tail": end,
        "truncated": keep is not None,
        "omitted": None,
    }
    return {"body": body}
