"""The HTTP interface of a ClickHouse server in front of chdb, which has the engine and no server.

Run by the interpreter of `.venv-clickhouse`, with a directory and a port; it prints its port.
Strategy: statements run at the same time, each on a connection of its own to the engine. Settings
of the address become statements before it where they are not those of the one before: a third of
the time of a short statement. A session that only reads would do so for ever: statements that write
are refused here.
"""

import queue
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import chdb

_OF_HTTP = frozenset({
    "query", "database", "wait_end_of_query", "buffer_size", "query_id", "default_format", "readonly",
})  # fmt: skip
_USUAL = {"max_execution_time": "0"}
_READONLY = b"Code: 164. DB::Exception: Cannot execute query in readonly mode. (READONLY)"
_CONNECTIONS = 16
"""Each takes memory and threads."""


class Session:
    """A connection to the engine, and what holds for its next statement."""

    def __init__(self, directory: str) -> None:
        self._engine = chdb.connect(directory)
        self._set: dict[str, str] = {}

    def run(self, statement: str, data: bytes, options: dict[str, str], place: Path) -> bytes:
        settings = _USUAL | {name: value for name, value in options.items() if name not in _OF_HTTP}
        self._hold("USE ", _quoted(options.get("database", "default"), "`"))
        for name in self._set.keys() - {"USE "} - settings.keys():
            self._engine.query(f"SET {name} = DEFAULT")
            del self._set[name]
        for name, value in settings.items():
            self._hold(name, _quoted(value, chr(39)))
        if not data:
            return self._engine.query(statement, "TabSeparated").bytes() or b""

        # Within a statement its data would end at the first empty line.
        file = place / f"insert-{threading.get_ident()}"
        file.write_bytes(data)
        try:
            self._engine.query(
                f"{statement.replace(' FORMAT ', f' FROM INFILE {_quoted(str(file), chr(39))} FORMAT ')}"
            )
        finally:
            file.unlink()

        return b""

    def _hold(self, name: str, value: str) -> None:
        if self._set.get(name) != value:
            self._set.pop(name, None)
            self._engine.query(f"USE {value}" if name == "USE " else f"SET {name} = {value}")
            self._set[name] = value


class Front(ThreadingHTTPServer):
    """Listens on a port of the loopback address, 0 for a free one."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, directory: str, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self._place = Path(directory)
        self._sessions: queue.LifoQueue[Session] = queue.LifoQueue()
        for _ in range(_CONNECTIONS):
            self._sessions.put(Session(directory))

    def run(self, statement: str, data: bytes, options: dict[str, str]) -> tuple[int, bytes]:
        if options.get("readonly", "0") != "0" and not statement.startswith("SELECT"):
            return 500, _READONLY
        session = self._sessions.get()
        try:
            return 200, session.run(statement, data, options, self._place)
        except RuntimeError as error:
            return 500, str(error).encode(errors="replace")
        finally:
            self._sessions.put(session)


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
