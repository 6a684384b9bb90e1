"""Load by HTTP/2 that remembers which exchanges were answered completely."""

import socket
from typing import Final

from h2.exceptions import H2Error

from tests.support.http2_client import GET, POST, Http2Client
from tests.support.load import Clients

STREAMS: Final = 20


class Http2Load(Clients):
    """Clients that ask on many streams at once until stopped, and connect anew where they are cut off."""

    def _run(self) -> None:
        while not self._is_stopping.is_set():
            try:
                with Http2Client(socket.create_connection(("127.0.0.1", self._port), 60)) as client:
                    while not self._is_stopping.is_set() and client.goaway is None and not client.is_closed:
                        self._ask_some(client)
            except (OSError, H2Error):
                self._is_stopping.wait(0.02)

    def _ask_some(self, client: Http2Client) -> None:
        asked = [client.begin(POST, b'{"n": 1}') if at % 2 else client.begin(GET) for at in range(STREAMS)]
        for stream_id in asked:
            answer = client.answer(stream_id)
            if answer.is_ended and "x-sidelog-id" in answer.fields:
                self.completed.append(answer.fields["x-sidelog-id"])
