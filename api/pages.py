"""Handlers of the web UI's pages and files. Nothing here needs a token.

Only files of the package are served, from a table made at start, so no request text ever becomes a path.
"""

from typing import Final
from urllib.parse import quote

from aiohttp import web
from aiohttp.typedefs import Handler

from api.assets import Asset, Assets

PAGES: Final = {
    "/": "pages/overview.js",
    "/requests": "pages/requests.js",
    "/endpoints": "endpoints/page.js",
    "/conversations": "conversations/page.js",
    "/run": "conversations/run.js",
    "/compare": "pages/compare.js",
    "/mcp-logs": "pages/mcp-logs.js",
    "/request-logs": "pages/request-logs.js",
    "/keys": "pages/keys.js",
    "/health": "health/page.js",
    "/alerts": "health/alerts.js",
}
"""Paths of the UI's pages and the module of each; all have one shell, whose script shows what the address says."""

_NO_PAGE: Final = (
    '<!doctype html><html lang="en"><title>No such page · sidelog</title><main><h1>There is no such page</h1>'
    '<p><a href="{}">Go to the overview of sidelog</a></p></main></html>'
)
_ASKED_EACH_TIME: Final = "no-cache"
_KEPT: Final = "public, max-age=31536000, immutable"
"""RFC 8246: not even a reload asks again."""


def serve_asset(assets: Assets) -> Handler:
    """Make the handler of `/ui/{version}/{name}`, of the folders below, and of `/ui/{name}`, always the newest."""

    async def handle(request: web.Request) -> web.StreamResponse:
        folder = request.match_info.get("folder")
        name = request.match_info["name"]
        asset = assets.files.get(name if folder is None else f"{folder}/{name}")
        if asset is None:
            raise web.HTTPNotFound
        is_this = request.match_info.get("version") == assets.version
        return _answer(request, asset, _KEPT if is_this else _ASKED_EACH_TIME)

    return handle


def serve_page(asset: Asset) -> Handler:
    """Make the handler of a page shell; the browser asks for it each time, so that an update shows at once."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return _answer(request, asset, _ASKED_EACH_TIME)

    return handle


async def show_run(request: web.Request) -> web.StreamResponse:
    """Lead to the page of a run: pages lie side by side, so that their addresses hold below any path."""
    location = f"../run?id={quote(request.match_info['id'], safe='')}"
    return web.Response(status=307, headers={"Location": location})


def no_page(path: str) -> web.Response:
    """Return a small page for a path that has none, with a relative link to the overview."""
    text = _NO_PAGE.format("../" * (path.count("/") - 1) or "./")
    return web.Response(status=404, text=text, content_type="text/html")


def _answer(request: web.Request, asset: Asset, keeping: str) -> web.Response:
    """Return a file, or 304 when the browser has it."""
    etags = {tag.value for tag in request.if_none_match or ()}
    headers = {"ETag": f'"{asset.etag}"', "Cache-Control": keeping}
    if asset.etag in etags:
        return web.Response(status=304, headers=headers)
    return web.Response(body=asset.content, content_type=asset.media_type, charset="utf-8", headers=headers)
