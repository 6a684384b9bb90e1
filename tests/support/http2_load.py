"""Load by HTTP/2 that remembers which exchanges were answered completely."""

import socket

from h2.exceptions import H2Error

from tests.support.http2_client import GET, POST, Fields, Http2Client
from tests.support.load import Clients


class Http2Load(Clients):
    """Clients that ask on many streams at once until stopped, and connect anew where they are cut
    off.
    """

    def __init__(
        self,
        port: int,
        clients: int = 4,
        *,
        streams: int = 20,
        calls: Fields = POST,
        body: bytes = b'{"n": 1}',
        pause_s: float = 0.0,
    ) -> None:
        """Prepare; half of the streams of each client are `calls`, whose ends follow once all have
        begun.
        """
        super().__init__(port, clients)
        self._streams = streams
        self._calls = calls
        self._body = body
        self._pause_s = pause_s
        self.errors: list[str] = []
        """What was not answered though it had to be, as no GOAWAY said otherwise; connections that
        failed.
        """

    def _run(self) -> None:
        while not self._is_stopping.is_set():
            try:
                with Http2Client(socket.create_connection(("127.0.0.1", self._port), 60)) as client:
                    while (
                        not self._is_stopping.is_set()
                        and client.goaway is None
                        and not client.is_closed
                    ):
                        self._ask_some(client)
                        self._is_stopping.wait(self._pause_s)
            except (OSError, H2Error) as error:
                self.errors.append(repr(error))
                self._is_stopping.wait(0.02)

    def _ask_some(self, client: Http2Client) -> None:
        calls = [
            client.begin(self._calls, self._body, is_end=False) for _ in range(self._streams // 2)
        ]
        asked = calls + [client.begin(GET) for _ in range(self._streams - len(calls))]
        for stream_id in calls:
            client.h2.end_stream(stream_id)
        client.flush()
        for stream_id in asked:
            answer = client.answer(stream_id)
            if answer.is_ended and "x-sidelog-id" in answer.fields:
                self.completed.append(answer.fields["x-sidelog-id"])
            elif stream_id <= client.last_id:
                self.errors.append(f"stream {stream_id}: {answer}")
