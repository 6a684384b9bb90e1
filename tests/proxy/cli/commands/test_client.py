"""Commands that talk to a running sidelog, over a real socket."""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import ClassVar

import pytest

from proxy.cli import app
from proxy.cli.commands.client import (
    Answer,
    Client,
    connect,
    data_directory,
    of_running,
    refusal,
)
from proxy.cli.commands.health import NEXT
from proxy.cli.commands.output import CommandError
from proxy.process.data_dir import lock_data_dir
from proxy.process.tls import server_context
from tests.api.conftest import TOKEN
from tests.api.samples import make_record
from tests.proxy.cli.commands.conftest import Quiet, put, serving
from tests.proxy.cli.conftest import Run
from tests.support.certificate import self_signed
from tests.support.memory_store import MemoryStorage


class Ready(Quiet):
    """Answers like the port of health."""

    is_ready = True
    reasons: tuple[str, ...] = ()

    def do_GET(self) -> None:
        """Answer one request."""
        content = json.dumps({"ready": self.is_ready, "reasons": self.reasons})
        self.answer(200 if self.is_ready else 503, content.encode())


@pytest.fixture
def data_dir(admin: MemoryStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory that the environment names, with an admin port that has 5 records."""
    put(admin, *(make_record(number, status=500 + number) for number in range(5)))
    (tmp_path / "state.json").write_text(json.dumps({"admin_url": os.environ["SIDELOG_URL"]}))
    (tmp_path / "admin-token").write_text(f"{TOKEN}\n")
    monkeypatch.delenv("SIDELOG_URL")
    monkeypatch.delenv("SIDELOG_TOKEN")
    monkeypatch.setenv("SIDELOG_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # must not be asked
    return tmp_path


@pytest.mark.usefixtures("data_dir")
def test_query_follows_cursors_up_to_the_limit(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """NDJSON over several pages: never more than asked, and all when there are fewer."""
    monkeypatch.setattr("proxy.cli.commands.records.PAGE_RECORDS", 2)
    lines = run("query --json --limit 3").out.splitlines()
    assert [json.loads(line)["status"] for line in lines] == [504, 503, 502]
    assert len(run("query --json --limit 100 --status 404 --status 5xx").out.splitlines()) == 5


def test_tail_says_that_it_looks_forward_only(capfd: pytest.CaptureFixture[str]) -> None:
    """A filter accepts a time in the past, but no record would match it."""
    with serving(Quiet) as url:  # which has no stream
        assert app.main(["tail", "--since", "1h", "--url", url]) == 1
        note, _ = capfd.readouterr().err.splitlines()
        assert app.main(["tail", "--url", url]) == 1
    assert (
        note == "sidelog: tail shows new records only; `sidelog query --since …` shows older ones"
    )
    assert len(capfd.readouterr().err.splitlines()) == 1


@pytest.mark.usefixtures("data_dir")
def test_refusals_are_the_servers_own_words(run: Run) -> None:
    """A bad parameter is usage (2); an unknown record and a wrong token are failures (1)."""
    assert "status is 'x', expected" in run("query --status x", code=2).err
    assert "there is no record" in run("get nothing", code=1).err


@pytest.mark.usefixtures("data_dir")
def test_a_wrong_token_is_called_wrong(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the place that it came from; without one, it says that one is needed."""
    told = "is wrong: http://127.0.0.1:"
    assert f"the token of --token {told}" in run("get nothing --token wrong", code=1).err
    monkeypatch.setenv("SIDELOG_TOKEN", "wrong")
    assert f"the token of SIDELOG_TOKEN {told}" in run("query", code=1).err
    monkeypatch.delenv("SIDELOG_TOKEN")

    url = connect(None, None, None, os.environ).url
    (tmp_path / "admin-token").write_text("wrong")
    monkeypatch.setenv("SIDELOG_DATA_DIR", str(tmp_path))
    assert f"the token of {tmp_path}/admin-token {told}" in run(f"top --url {url}", code=1).err
    (tmp_path / "admin-token").unlink()
    assert (
        f"{url} needs a token, and there is none in {tmp_path}"
        in run(f"query --url {url}", code=1).err
    )


def test_health_is_the_readiness(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 when ready; 1 when not ready, in words or JSON."""
    with serving(Ready) as url:
        health = f"health --url {url}"
        assert run(health).out == "ready\n"
        monkeypatch.setattr(Ready, "reasons", ("the store is away",))
        assert run(health) == ("ready; the store is away\n", f"{NEXT}\n")
        monkeypatch.setattr(Ready, "is_ready", False)
        reasons = ["no worker accepts connections", "the store is away"]
        monkeypatch.setattr(Ready, "reasons", reasons)
        assert run(health, code=1).err == f"not ready: {'; '.join(reasons)}\n{NEXT}\n"
        detail = {"ready": False, "reasons": reasons}
        shown = json.loads(run(f"{health} --json", code=1).out)
        assert shown == {"ready": False, "status": 503, "detail": detail}
        monkeypatch.setattr(Ready, "reasons", ())
        assert run(health, code=1).err == "not ready: 503 Service Unavailable\n"


def test_token_is_printed(data_dir: Path, run: Run) -> None:
    """From the data directory, as text or JSON; without one the place where it would be is named."""
    assert run("token show").out == f"{TOKEN}\n"
    assert json.loads(run("token show --json").out) == {"token": TOKEN}
    (data_dir / "admin-token").write_text("")
    run("token show", code=1)
    assert "admin-token" in run("token show --data-dir", data_dir / "none", code=1).err


def test_nobody_there_is_said_plainly(data_dir: Path, run: Run) -> None:
    """A stopped sidelog, a directory without one, a broken state file, and an invalid URL."""
    assert "is sidelog running?" in run("health --url http://127.0.0.1:1", code=1).err
    assert "has run in" in run("query --data-dir", data_dir / "none", code=1).err
    run("query --url 127.0.0.1:8090", code=2)
    run("query --url http://h:x", code=2)
    (data_dir / "state.json").write_text("{")
    assert "state.json" in run("query", code=1).err


@pytest.mark.parametrize(
    ("headers", "content", "expected"),
    [
        (
            {"x-sidelog-id": "0190"},
            b'{"error": {"message": "no"}}',
            "404 Not Found from the data port; pass the --url",
        ),
        ({}, b"404: Not Found", "404 Not Found; is this the admin port?"),
        ({}, b'{"title": "Not Found", "detail": "there is no record"}', "there is no record"),
    ],
)
def test_an_answer_of_another_port_is_told(
    headers: dict[str, str], content: bytes, expected: str
) -> None:
    """The service's own 404 says nothing about records."""
    assert refusal(Answer(404, headers, content)).startswith(expected)


def test_an_error_of_a_connection_is_told_in_words(run: Run) -> None:
    """Without its number. A port that does not speak TLS is named."""
    with serving(Quiet) as url:
        said = run(f"health --url {url.replace('http', 'https')}", code=1).err
    assert ": the port does not speak TLS, as in http://; is sidelog running?" in said
    assert ": Connection refused; is sidelog running?" in run(f"health --url {url}", code=1).err


@pytest.mark.parametrize("command", ["query", "tail"])
def test_a_token_that_is_none_is_not_sent(command: str, run: Run) -> None:
    """Nor shown. White space around it, like the newline of a file, is ignored."""
    assert (
        run(f"{command} --url http://127.0.0.1:1 --token", "s3cret\ns3cret", code=2).err
        == "sidelog: the token contains characters that no valid token has\n"
    )
    assert (
        connect("http://127.0.0.1:1", None, None, {"SIDELOG_TOKEN": "s3cret\r\n"}).token == "s3cret"
    )


def test_a_variable_that_is_empty_is_not_given(tmp_path: Path) -> None:
    """Compose sets empty variables; the data directory has address and token."""
    (tmp_path / "state.json").write_text('{"admin_url": "http://127.0.0.1:1"}')
    (tmp_path / "admin-token").write_text("t0ken\n")
    client = connect(None, None, str(tmp_path), {"SIDELOG_URL": "", "SIDELOG_TOKEN": ""})
    assert (client.url, client.token) == ("http://127.0.0.1:1", "t0ken")


@pytest.mark.parametrize(
    "url", ["http://a..b:1", f"http://{'a' * 64}:1", "http://[:1", "http://a:99999"]
)
def test_a_host_that_no_resolver_takes_is_a_wrong_url(url: str, run: Run) -> None:
    assert f"{url!r} is not a URL" in run(f"query --url {url}", code=2).err


@contextmanager
def answered_once(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """Yield the port of a server that treats its only connection in its own way."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def test_a_certificate_that_nobody_trusts_is_told_with_the_way_to_trust_it(
    tmp_path: Path, run: Run
) -> None:
    """By its own name and the system's authorities, wherever it leads that is not the port of the
    data directory.
    """
    cert, key = map(str, self_signed(tmp_path))
    context = server_context(cert, key)
    assert context is not None

    with answered_once(
        lambda connection: context.wrap_socket(connection, server_side=True)
    ) as port:
        said = run(f"export csv --url https://127.0.0.1:{port} --data-dir {tmp_path}", code=1).err

    assert (
        f"no response from https://127.0.0.1:{port}: its certificate is not trusted, self" in said
    )
    assert said.endswith("; SSL_CERT_FILE=FILE names the authority that signed it\n")


def test_a_port_with_tls_is_not_asked_without(run: Run) -> None:
    """It ends the connection without a word of HTTP."""
    with answered_once(lambda connection: connection.recv(65536)) as port:
        said = run(f"query --url http://127.0.0.1:{port}", code=1).err
    assert said.endswith("; does it speak TLS, as in https://?\n")


def test_a_certificate_of_any_name_is_trusted_on_this_machine_only(tmp_path: Path) -> None:
    """A remote server gets the token, so its certificate must match its name."""
    state = '{"admin_url": "https://10.0.0.5:8090", "admin_cert_file": "/etc/sidelog/cert.pem"}'
    (tmp_path / "state.json").write_text(state)
    urls = (
        None,
        "https://10.0.0.5:8090/",
        "https://localhost:8090",
        "https://logs.example.com:8090",
        "https://[",
    )
    trusted = [connect(url, "t0ken", str(tmp_path), {}).cert_file for url in urls]
    assert trusted == [*["/etc/sidelog/cert.pem"] * 3, "", ""]


def test_a_certificate_that_is_gone_is_named(tmp_path: Path, run: Run) -> None:
    gone = tmp_path / "cert.pem"
    (tmp_path / "state.json").write_text(
        f'{{"admin_url": "https://127.0.0.1:1", "admin_cert_file": "{gone}"}}'
    )
    assert (
        f"the admin port's certificate {gone} cannot be used: No such file or directory"
        in run(f"health --data-dir {tmp_path}", code=1).err
    )


@pytest.mark.parametrize("output", [[], ["-o", "day.csv"]])
def test_an_export_from_nowhere_is_no_traceback(
    output: list[str],
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Nor is it said that the file cannot be written, and what the file has is left to it."""
    monkeypatch.chdir(tmp_path)
    Path("day.csv").write_text("of yesterday")
    assert (
        "no response from http://no-such-host.invalid:1: "
        in run("export csv", *output, "--url", "http://no-such-host.invalid:1", code=1).err
    )
    assert Path("day.csv").read_text() == "of yesterday"


class Opening(Quiet):
    """Answers 503 until it was asked three times, as while the store is being opened."""

    asked: ClassVar[int] = 0
    after: ClassVar[str] = "1"

    def do_GET(self) -> None:
        """Count, and answer."""
        type(self).asked += 1
        is_open = self.asked > 3
        content = (
            b'{"records": [], "next_cursor": null}'
            if is_open
            else b'{"detail": "the store is being opened"}'
        )
        self.answer(200 if is_open else 503, content, Retry_After=self.after)


@pytest.mark.parametrize(
    ("after", "patience_s", "waits", "code"),
    [("1", 600.0, [1, 1, 1], 0), ("1", 0.5, [], 1), ("5", 10.0, [], 1)],
)
@pytest.mark.parametrize("command", ["query", "tail"])
def test_a_store_that_is_being_opened_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    after: str,
    patience_s: float,
    waits: list[int],
    code: int,
) -> None:
    """A moment, and not when the server wants to be left alone for longer; then its own words are
    the error.
    """
    handler = type("Handler", (Opening,), {"after": after})
    slept: list[int] = []
    monkeypatch.setattr("proxy.cli.commands.client.PATIENCE_S", patience_s)
    monkeypatch.setattr("proxy.cli.commands.client.time.sleep", slept.append)

    with serving(handler) as url:
        client = Client(url, "")
        if command == "query":
            answer = client.get("/api/records")
            assert answer.status == (200 if code == 0 else 503)
            assert refusal(answer) == ("200 OK" if code == 0 else "the store is being opened")
        else:
            done = (
                nullcontext()
                if code == 0
                else pytest.raises(CommandError, match="the store is being opened")
            )
            with done, client.stream("/api/records/stream", {}, {}, 60.0) as response:
                assert response.status == 200

    assert slept == waits


def test_where_only_the_demo_ran_its_records_are_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Own records come first, and a directory that is named before both."""
    monkeypatch.chdir(tmp_path)
    assert data_directory(None, {}) == Path("sidelog-data")
    Path("sidelog-demo").mkdir()
    Path("sidelog-demo", "state.json").write_text("{}")
    assert data_directory(None, {}) == Path("sidelog-data")
    Path("sidelog-demo", "state.json").write_text('{"admin_url": "http://127.0.0.1:1"}')
    assert data_directory(None, {}) == Path("sidelog-demo")
    assert data_directory(None, {"SIDELOG_DATA_DIR": "mine"}) == Path("mine")
    Path("sidelog-data").mkdir()
    assert data_directory(None, {}) == Path("sidelog-data")
    Path("sidelog-data", "state.json").write_text('{"instance": "a start that failed"}')
    assert data_directory(None, {}) == Path("sidelog-demo")
    Path("sidelog-data", "state.json").unlink()
    assert of_running({}, None, {}) == {}
    held = lock_data_dir(Path("sidelog-demo"))
    assert data_directory(None, {}) == Path("sidelog-demo")
    assert of_running({}, None, {}) == {"data_dir": "sidelog-demo"}
    assert of_running({"proxy.upstream": "http://a"}, None, {}) == {"proxy.upstream": "http://a"}
    assert (
        of_running({}, Path("a.toml"), {}) == of_running({}, None, {"SIDELOG_DATA_DIR": "a"}) == {}
    )
    os.close(held.lock_fd)
