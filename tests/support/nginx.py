"""A real nginx in front of something, with blocks of a test or of a guide."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.ports import free_port
from tests.support.programs import find
from tests.support.sidelog import eventually

_AROUND: Final = """
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{}}
http {{
    log_format ids '$request_id';
    access_log {directory}/access.log ids;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
{blocks}
}}
"""


@contextmanager
def nginx(directory: Path, blocks: str) -> Iterator[str]:
    """Run nginx with the blocks of its `http` that a test or a guide has; gives the address of its
    server.

    The blocks say `listen 80;`, which becomes a free port of this machine.
    """
    program = find("nginx")
    port = free_port()
    directory.mkdir(exist_ok=True)
    blocks = blocks.replace("listen 80;", f"listen 127.0.0.1:{port};")
    (directory / "nginx.conf").write_text(_AROUND.format(directory=directory, blocks=blocks))
    command = [
        program,
        "-p",
        str(directory),
        "-c",
        str(directory / "nginx.conf"),
        "-e",
        str(directory / "error.log"),
    ]
    process = subprocess.Popen(command)

    try:
        eventually((directory / "nginx.pid").exists)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)
