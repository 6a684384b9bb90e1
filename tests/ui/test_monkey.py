"""Pages under a visitor without a plan, who is quicker than they are: nothing may go wrong in them."""

import asyncio
from pathlib import Path
from typing import Final

import pytest

from tests.ui.conftest import Site
from tests.ui.world import record_of

SCRIPT: Final = (Path(__file__).parent / "monkey.js").read_text()
PATHS: Final = (
    "/", "/requests", "/requests?live=1", "/endpoints", "/conversations", "/mcp-logs", "/request-logs", "/keys",
    "/health",
)  # fmt: skip
VISIT_S: Final = 8


@pytest.mark.long
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("seed", "width"), [(1, 1400), (2, 400)])
async def test_a_visitor_without_a_plan_breaks_nothing(
    site: Site, path: str, seed: int, width: int
) -> None:
    """Wherever they get to within some seconds, while records come in."""
    await site.page.resize(width, 900)
    await site.page.call(
        "Page.addScriptToEvaluateOnNewDocument", source=SCRIPT.replace("SEED", str(seed))
    )
    await site.page.open(site.url + path)
    for second in range(VISIT_S):
        await asyncio.sleep(1)
        await site.store(record_of(5000 + second))
    assert site.page.problems == []
    await site.page.evaluate("window.hasToRest = true")
    await site.page.until("document.querySelector('main')?.children.length > 0")
