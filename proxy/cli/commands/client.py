"""A client of the admin API for commands: finds its address and token, and sends one request at a
time.

It blocks, uses the standard library only, and never a proxy of the environment. Address and token
come from options, or from the data directory that a running sidelog keeps (`state.json`,
`admin-token`).
"""

import http.client
import json
import os
import ssl
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from proxy.cli.commands.output import CommandError, Json, complain, failing
from proxy.http1.errors import why_unreached
from proxy.process.data_dir import (
    DEMO_DIRECTORY,
    OWN_DIRECTORY,
    STATE_FILE,
    TOKEN_FILE,
    is_in_use,
    project_directory,
    read_state,
)
from proxy.process.terminal import without_credentials
from proxy.process.tls import client_context

Filters = Mapping[str, str | list[str]]
"""Parameters of the API."""
TIMEOUT_S: Final = 30.0
"""Timeout of a request; the server's time budget of a query is far shorter."""
PATIENCE_S: Final = 10.0
"""Time during which a server that is not ready yet, because its store is being opened, is asked
again.
"""
MAX_RETRY_AFTER_S: Final = 2
"""Longest `Retry-After` that is waited for."""
RECORD_ID: Final = "x-sidelog-id"
"""A header of the data port's responses; the admin port does not send it, since it records nothing.
"""
MAX_ANSWER_BYTES: Final = 256 << 20
"""Largest response that is read; 1000 records, or one exchange with its bodies, are far smaller."""


def data_directory(option: str | None, environ: Mapping[str, str] | None = None) -> Path:
    """Return the data directory: option, SIDELOG_DATA_DIR, the first of STATE_DIRECTORY,
    ./sidelog-data.

    If no directory is named, and only the demo runs or has run here, its directory is used. If
    neither has run here, the directory of `sidelog run` in this project is used. A failed start
    does not count.
    """
    environ = os.environ if environ is None else environ
    if named := _named_directory(option, environ):
        return Path(named)

    own = Path(OWN_DIRECTORY)
    demo = Path(DEMO_DIRECTORY)
    if is_in_use(own):
        return own
    if is_in_use(demo):
        return demo

    # A copy of a store has no state.
    if own.exists() and (has_run(own) or not (own / STATE_FILE).exists()):
        return own
    of_runs = project_directory(Path.cwd(), environ)
    return next((each for each in (demo, of_runs) if each is not None and has_run(each)), own)


def _named_directory(option: str | None, environ: Mapping[str, str]) -> str:
    return (
        option
        or environ.get("SIDELOG_DATA_DIR")
        or environ.get("STATE_DIRECTORY", "").partition(":")[0]
    )


def has_run(directory: Path) -> bool:
    """Return True if a sidelog was started with a data directory and opened its ports."""
    try:
        return admin_url_of(read_state(directory)) is not None
    except OSError:  # the error is reported when the directory is used
        return True


def of_running(
    overrides: Mapping[str, str], config: Path | None, environ: Mapping[str, str]
) -> dict[str, str]:
    """Add the data directory of the running sidelog to the given settings, unless they name another
    one.
    """
    if config is None and not overrides and not _named_directory(None, environ):
        directory = data_directory(None, environ)
        if is_in_use(directory):
            return {"data_dir": str(directory)}
    return dict(overrides)


def read_token(directory: Path) -> str:
    """Read the admin token of a data directory."""
    path = directory / TOKEN_FILE
    try:
        with failing(f"cannot read {path}", PermissionError, IsADirectoryError, UnicodeDecodeError):
            return path.read_text("ascii").strip()
    except FileNotFoundError:
        raise CommandError(
            f"no admin token at {path}, it is created at the first start; pass --data-dir"
        ) from None


def admin_url_of(state: Json) -> str | None:
    """Return the URL of the admin port from `state.json`; None if no sidelog ever ran there."""
    url = state.get("admin_url")
    if isinstance(url, str) and url:
        return url
    return None


_TEMPORARY: Final = frozenset((429, 500, 502, 503, 504))
"""Statuses of refusals that may be temporary."""


class TemporaryRefusal(CommandError):
    """The server refused temporarily: it is busy, or a part that it needs is unavailable."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response."""

    status: int
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes


def _waited(answer: Answer, until_s: float) -> bool:
    """Wait as long as a response asks for. Return False at once if it asks for no wait or the time
    is up.
    """
    after = answer.headers.get("retry-after", "")
    is_soon = answer.status == 503 and after.isdecimal() and int(after) <= MAX_RETRY_AFTER_S
    if not is_soon or RECORD_ID in answer.headers or time.monotonic() + int(after) > until_s:
        return False

    if sys.stderr.isatty():
        complain(f"sidelog: {refusal(answer)}, waiting")
    time.sleep(int(after))
    return True


def _encoded(parameters: Filters) -> str:
    """Encode parameters as a query. Bytes of the command line that are not UTF-8 are sent
    unchanged; the API judges them.
    """
    return urlencode(parameters, doseq=True, errors="surrogateescape")


@dataclass(frozen=True, slots=True)
class Client:
    """An admin port and the token for it."""

    url: str
    token: str
    cert_file: str = ""
    """The admin port's own certificate, trusted in addition to the system's."""
    token_source: str = ""
    """Where the token came from."""

    def get(self, path: str, parameters: Filters | None = None) -> Answer:
        """GET a path of the admin port; a status of 400 or more does not raise.

        Raises:
            CommandError: there was no HTTP response, or it came from the data port.
        """
        return self.send("GET", path + (f"?{_encoded(parameters)}" if parameters else ""))

    def send(self, method: str, target: str, content: object = None) -> Answer:
        """Send a request with optional `content` as JSON; a status of 400 or more does not raise.

        Raises:
            CommandError: there was no HTTP response, or it came from the data port.
        """
        headers = {"Accept": "application/json", "Connection": "close"}
        payload = None
        if content is not None:
            headers["Content-Type"] = "application/json"
            payload = json.dumps(content).encode()
        try:
            with self._asked(method, target, payload, headers, TIMEOUT_S) as (response, refused):
                answer = refused or _answer_of(response)
        except (OSError, http.client.HTTPException) as error:
            raise no_response(self.url, error) from error

        # Of a service that answers every path, it would be taken for sidelog's.
        if RECORD_ID in answer.headers:
            raise CommandError(refusal(answer))

        return answer

    @contextmanager
    def _asked(
        self,
        method: str,
        target: str,
        payload: bytes | None,
        headers: Mapping[str, str],
        timeout_s: float,
    ) -> Iterator[tuple[http.client.HTTPResponse, Answer | None]]:
        """Yield the response, its body unread, and None; or for a refusal that lasts, the response
        and its whole answer. A temporary refusal is retried for `PATIENCE_S`.
        """
        connection = _connection(self.url, self.cert_file)
        connection.timeout = timeout_s
        if self.token:
            authorization = {"Authorization": f"Bearer {self.token}"}
        else:
            authorization = {}

        until_s = time.monotonic() + PATIENCE_S
        try:
            while True:
                path = urlsplit(self.url).path.rstrip("/") + target
                connection.request(method, path, payload, {**headers, **authorization})
                response = connection.getresponse()
                is_refusal = response.status >= 400 or response.getheader(RECORD_ID)
                refused = _answer_of(response) if is_refusal else None
                if response.status == 401 and RECORD_ID not in response.headers:
                    raise self._unknown_token()
                if refused is None or not _waited(refused, until_s):
                    break

            yield response, refused
        finally:
            connection.close()

    @contextmanager
    def stream(
        self, path: str, parameters: Filters, headers: Mapping[str, str], timeout_s: float
    ) -> Iterator[http.client.HTTPResponse]:
        """GET a path and yield the response, to be read piece by piece; `timeout_s` applies to each
        read.

        Raises:
            CommandError: the server refused, with its message; a `TemporaryRefusal` if a retry may succeed.
            OSError: the server cannot be reached, or the connection broke.
            http.client.HTTPException: the response ended early.
        """
        target = f"{path}?{_encoded(parameters)}"
        with self._asked("GET", target, None, headers, timeout_s) as (response, refused):
            if refused is not None:
                raise _refused(refused)
            yield response

    def _unknown_token(self) -> CommandError:
        url = without_credentials(self.url)
        if self.token:
            text = f"the token of {self.token_source} is wrong: {url} refuses it"
        else:
            text = f"{url} needs a token, and there is none in {self.token_source}"
        return CommandError(f"{text}; pass --token, or --data-dir of the running sidelog")

    def get_file(self, path: str) -> Answer:
        """GET a file; a refusal raises as in `get_json`, always with exit code 1."""
        answer = self.get(path)
        if answer.status >= 400:
            raise CommandError(refusal(answer))
        return answer

    def save_conversation(self, conversation_id: str, path: Path) -> int:
        """Write the page of a conversation into a file; return its size."""
        return path.write_bytes(
            self.get_file(f"/api/conversations/{quote(conversation_id, safe='')}/file").body
        )

    def get_json(self, path: str, parameters: Filters | None = None) -> Any:
        """GET JSON; a refusal is raised as a CommandError with the server's message."""
        return self._read(self.get(path, parameters))

    def send_json(self, method: str, target: str, content: object = None) -> Any:
        """Send a request and return the JSON of the response, None when it has none; refusals as in
        `get_json`.
        """
        return self._read(self.send(method, target, content))

    def _read(self, answer: Answer) -> Any:
        if answer.status >= 400:
            raise _refused(answer)
        if answer.status == 204:
            return None
        try:
            return json.loads(answer.body)
        except ValueError as error:
            raise CommandError(
                f"the response of {self.url} is not JSON; is it the admin port?"
            ) from error


def client_pages(client: Client, path: str, parameters: Filters) -> Iterator[dict[str, Any]]:
    """Yield the pages of a list, following their cursors."""
    cursor: str | None = ""
    while cursor is not None:
        page = client.get_json(path, {**parameters, **({"cursor": cursor} if cursor else {})})
        yield page
        cursor = page.get("next_cursor")


def connect(
    url: str | None,
    token: str | None,
    option: str | None,
    environ: Mapping[str, str] | None = None,
) -> Client:
    """Return a client; address and token come from options, or else from the data directory."""
    environ = os.environ if environ is None else environ
    directory = data_directory(option, environ)
    url = url or environ.get("SIDELOG_URL") or None
    source = "--token" if token else "SIDELOG_TOKEN"
    token = (token or environ.get("SIDELOG_TOKEN", "")).strip() or None
    if token is not None and not (token.isascii() and token.isprintable()):
        raise CommandError("the token contains characters that no valid token has", exit_code=2)

    with failing(f"cannot read {directory / STATE_FILE}", OSError):
        state = read_state(directory)

    if url is None and (url := admin_url_of(state)) is None:
        text = f"no sidelog has run in {os.path.join('.', directory)} yet"
        if (directory / STATE_FILE).exists():
            text += f": its {STATE_FILE} names no admin port"
        elif directory.exists():
            text += "; `sidelog query` reads a copy of a store"
        raise CommandError(f"{text}; pass --data-dir or --url of a running one")

    if token is None:  # without a token file the port may still be open (admin.auth = "off")
        source = str(directory / TOKEN_FILE)
        if (directory / TOKEN_FILE).exists():
            token = read_token(directory)
        else:
            token = ""
    return Client(url, token, _own_certificate(url, state), source)


def _own_certificate(url: str, state: Json) -> str:
    """Return the certificate to trust under any name, if the URL leads to the admin port of this
    machine.
    """
    cert_file = str(state.get("admin_cert_file") or "")
    if not cert_file or url == admin_url_of(state):
        return cert_file

    from proxy.settings.addresses import is_loopback  # not in the time of every answer

    with suppress(ValueError):  # an invalid URL is reported when it is used
        host = urlsplit(url).hostname or ""
        if is_loopback(host) or host == urlsplit(admin_url_of(state) or "").hostname:
            return cert_file

    return ""


def message_in(document: object) -> str | None:
    """Return the error message of a JSON response, in the form of RFC 9457, of model providers or
    of others.
    """
    if not isinstance(document, dict):
        return None
    error = document.get("error")
    if isinstance(error, dict):
        inner = error.get("message")
    else:
        inner = error
    said = (document.get("detail"), inner, document.get("message"), document.get("title"))
    return next((text for text in said if isinstance(text, str) and text), None)


def _answer_of(response: http.client.HTTPResponse) -> Answer:
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read(MAX_ANSWER_BYTES))


def _refused(answer: Answer) -> CommandError:
    if answer.status in _TEMPORARY:
        return TemporaryRefusal(refusal(answer))
    return CommandError(refusal(answer), exit_code=2 if answer.status == 400 else 1)


def refusal(answer: Answer) -> str:
    """Return the message of an error response: RFC 9457's detail, or a dialect's message."""
    if RECORD_ID in answer.headers:
        return f"{status_text(answer)} from the data port; pass the --url of the admin port"
    try:
        document = json.loads(answer.body)
    except ValueError:
        document = None

    detail = message_in(document)
    if detail is None and answer.status == 404:
        return f"{status_text(answer)}; is this the admin port?"

    return detail or status_text(answer)


def status_text(answer: Answer) -> str:
    return f"{answer.status} {http.client.responses.get(answer.status, '')}".strip()


def no_response(url: str, error: OSError | http.client.HTTPException) -> CommandError:
    """Return the error for a server that is unreachable or answers unexpectedly, with a hint."""
    hint = "is sidelog running?"
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = "SSL_CERT_FILE=FILE names the authority that signed it"
    elif isinstance(error, http.client.RemoteDisconnected) and url.startswith("http:"):
        hint = "does it speak TLS, as in https://?"
    return CommandError(f"no response from {url}: {reason_of(error)}; {hint}")


def reason_of(error: OSError | http.client.HTTPException) -> str:
    """Return why there is no response, without the error's number."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted, {error.verify_message}"
    return why_unreached(error) or type(error).__name__


def _connection(url: str, cert_file: str) -> http.client.HTTPConnection:
    shown = without_credentials(repr(url))
    try:
        parts = urlsplit(url)
        host = parts.hostname
        port = parts.port
        (host or "").encode("idna")  # as the resolver will
    except ValueError as error:
        why = "" if "@" in url else f": {error}"  # it may quote a part of a password
        raise CommandError(f"{shown} is not a URL{why}", exit_code=2) from error

    if parts.scheme not in ("http", "https") or not host:
        raise CommandError(f"{shown} is not a URL such as http://127.0.0.1:8090", exit_code=2)
    if parts.scheme == "https":
        try:
            context = client_context(cert_file)
        except OSError as error:
            reason = getattr(error, "reason", None) or error.strerror
            raise CommandError(
                f"the admin port's certificate {cert_file} cannot be used: {reason}"
            ) from error

        return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)

    return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
