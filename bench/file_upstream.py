"""A service for pictures and uploads, for runs that last minutes or hours: `python -m
bench.file_upstream`.

`GET /files/N` answers with a picture, `POST /files/N` with the digest of what arrived, so that a
client knows whether it passed unchanged. Prints its port.
"""

import hashlib
import socket
from typing import Final

from aiohttp import web

from bench.contents import Kind, kind_of, variants

PATH: Final = "/files"
PICTURE: Final = kind_of("png-60k")
MAX_BYTES: Final = 1 << 20


def digest_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def variant_of(kind: Kind, number: int) -> bytes:
    """Return the body of a number; some repeat, as those of a site do."""
    bodies = variants(kind.name)
    return bodies[number % len(bodies)]


async def _answer(request: web.Request) -> web.Response:
    if request.method == "POST":
        return web.json_response({"sha256": digest_of(await request.read())}, status=201)
    body = variant_of(PICTURE, int(request.match_info["number"]))
    return web.Response(body=body, content_type=PICTURE.content_type)


def _application() -> web.Application:
    application = web.Application(client_max_size=MAX_BYTES)
    application.router.add_route("*", f"{PATH}/{{number:[0-9]+}}", _answer)
    return application


def main() -> None:
    """Serve until terminated."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        web.run_app(_application(), sock=listening, print=None)


if __name__ == "__main__":
    main()
