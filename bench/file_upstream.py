"""A service for pictures and uploads, for runs that last minutes or hours: `python -m
bench.file_upstream`.

`GET /files/N` answers with a picture, `POST /files/N` with the digest of what arrived, so that a
client knows whether it passed unchanged. Prints its port.
"""

import hashlib
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

from bench.contents import kind_of, variants

PATH: Final = "/files"
PICTURE: Final = kind_of("png-60k")
MAX_BYTES: Final = 1 << 20
_NUMBER: Final = re.compile(r"[0-9]+\Z")


def digest_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def picture(number: int) -> bytes:
    """Return the picture of a number; some repeat, as those of a site do."""
    pictures = variants(PICTURE.name)
    return pictures[number % len(pictures)]


async def _answer(request: web.Request) -> web.Response:
    number = _NUMBER.search(request.path)
    if number is None:
        raise web.HTTPNotFound

    if request.method == "POST":
        return web.json_response({"sha256": digest_of(await request.read())}, status=201)
    return web.Response(body=picture(int(number[0])), content_type=PICTURE.content_type)


@contextmanager
def file_upstream() -> Iterator[str]:
    """Start it as a process of its own; gives its URL."""
    command = [sys.executable, "-m", __name__]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


async def _serve() -> web.Application:
    application = web.Application(client_max_size=MAX_BYTES)
    application.router.add_route("*", f"{PATH}/{{number}}", _answer)
    return application


def main() -> None:
    """Serve until terminated."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        web.run_app(_serve(), sock=listening, print=None)


if __name__ == "__main__":
    main()
