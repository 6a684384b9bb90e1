"""`python -m http.server` as people run it for development, but with connections that are kept:
PORT.

`http.server.HTTPServer` has one thread: while a connection is open, nobody else is served.
"""

import sys
from http.server import HTTPServer, SimpleHTTPRequestHandler


class Handler(SimpleHTTPRequestHandler):
    """Files of the current directory, over HTTP/1.1."""

    protocol_version = "HTTP/1.1"


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
