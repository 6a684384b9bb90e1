"""The HTTP interface of a ClickHouse server in front of chdb, which has the engine and no server.

Run by the interpreter of `.venv-clickhouse`, with a directory and a port; it prints its port.
Strategy: one statement at a time; settings of the address become statements before it where they are not those of the
one before: a third of the time of a short statement. A session that only reads would do so for ever: statements that
write are refused here.
"""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from chdb import ChdbError
from chdb.session import Session

_OF_HTTP = frozenset({
    "query", "database", "wait_end_of_query", "buffer_size", "query_id", "default_format", "readonly",
})  # fmt: skip
_USUAL = {"max_execution_time": "0"}
_READONLY = b"Code: 164. DB::Exception: Cannot execute query in readonly mode. (READONLY)"


class Front(ThreadingHTTPServer):
    """Listens on a port of the loopback address, 0 for a free one."""

    daemon_threads = True

    def __init__(self, directory: str, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self._session = Session(directory)
        self._lock = threading.Lock()
        self._set: dict[str, str] = {}
        """What holds for the next statement."""

    def run(self, statement: str, data: bytes, options: dict[str, str]) -> tuple[int, bytes]:
        settings = _USUAL | {name: value for name, value in options.items() if name not in _OF_HTTP}
        if options.get("readonly", "0") != "0" and not statement.startswith("SELECT"):
            return 500, _READONLY
        with self._lock:
            try:
                self._hold("USE ", _quoted(options.get("database", "default"), "`"))
                for name, value in settings.items():
                    self._hold(f"SET {name} = ", _quoted(value, chr(39)))
                if data:
                    return 200, self._insert(statement, data)
                return 200, self._session.query(statement, "TabSeparated").bytes() or b""
            except (ChdbError, RuntimeError) as error:
                return 500, str(error).encode(errors="replace")

    def _hold(self, statement: str, value: str) -> None:
        if self._set.get(statement) != value:
            self._set.pop(statement, None)
            self._session.query(statement + value)
            self._set[statement] = value

    def _insert(self, statement: str, data: bytes) -> bytes:
        # Within a statement its data would end at the first empty line.
        with self._session.send_insert(*statement.split(" FORMAT ")) as insertion:
            insertion.append(data)
            insertion.finish()
        return b""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Front

    def do_GET(self) -> None:
        self._answer(200, b"Ok.\n")

    def do_POST(self) -> None:
        options = dict(parse_qsl(urlsplit(self.path).query))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "query" in options:
            self._answer(*self.server.run(options["query"], body, options))
        else:
            self._answer(*self.server.run(body.decode(), b"", options))

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def _quoted(text: str, quote: str) -> str:
    return quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote


if __name__ == "__main__":
    front = Front(sys.argv[1], int(sys.argv[2]))
    sys.stdout.write(f"{front.server_port}\n")
    sys.stdout.flush()
    front.serve_forever()
