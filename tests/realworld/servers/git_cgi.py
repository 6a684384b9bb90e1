"""`git http-backend` behind the standard library's HTTP server: `git_cgi.py PORT PROJECT_ROOT`.

CGI/1.1 (RFC 3875) as far as git needs it: the request's body is unchunked on its way to the
program's input, what it writes is chunked on its way back.
"""

import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import IO

READ_BYTES = 1 << 16


class Handler(BaseHTTPRequestHandler):
    """One request, one process."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Refs and dumb objects."""
        self._run_backend()

    def do_POST(self) -> None:
        """Packs."""
        self._run_backend()

    def _run_backend(self) -> None:
        path, _, query = self.path.partition("?")
        variables = {
            "GIT_PROJECT_ROOT": sys.argv[2],
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_USER": "git",
            "REMOTE_ADDR": self.client_address[0],
        }
        with subprocess.Popen(
            ["git", "http-backend"],
            env=os.environ | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as backend:
            assert backend.stdin is not None
            assert backend.stdout is not None
            self._copy_body(backend.stdin)
            self._answer(backend.stdout)

    def _copy_body(self, target: IO[bytes]) -> None:
        """Write the request's body to the program, whatever its framing, and close that."""
        with target:
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                while size := int(self.rfile.readline().partition(b";")[0], 16):
                    target.write(self.rfile.read(size))
                    self.rfile.readline()
                while self.rfile.readline().strip():
                    pass
                return

            left = int(self.headers.get("Content-Length", "0"))
            while left:
                data = self.rfile.read(min(left, READ_BYTES))
                target.write(data)
                left -= len(data)

    def _answer(self, source: IO[bytes]) -> None:
        """Send the program's head and body."""
        fields = {}
        while line := source.readline().decode().strip():
            name, _, value = line.partition(":")
            fields[name] = value.strip()
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while data := source.read1(READ_BYTES):  # type: ignore[attr-defined]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
