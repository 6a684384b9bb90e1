"""Clients and servers of gRPC: every kind of call through sidelog ends as it does without, and is
on record.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from tests.realworld.programs import (
    HOME,
    SERVERS,
    client_environ,
    debian_file,
    go_program,
    npm_file,
    python_program,
    run,
    system_program,
)
from tests.support.certificate import self_signed
from tests.support.ports import free_port
from tests.support.sidelog import Sidelog, eventually

pytestmark = [pytest.mark.realworld, pytest.mark.timeout(300)]


MODULES: Final = HOME / "npm/node_modules"
JARS: Final = (
    *(f"grpc-{name}" for name in ("api", "context", "core", "netty", "stub")),
    *(
        f"netty-{name}"
        for name in ("buffer", "codec", "codec-http", "codec-http2", "common", "handler")
    ),
    *(
        "netty-handler-proxy",
        "netty-resolver",
        "netty-transport",
        "guava",
        "opencensus-api",
        "perfmark-api",
    ),
)
Command = Callable[[Path], list[str]]


def grpcio(home: Path) -> list[str]:
    return [python_program(), str(SERVERS / "grpc_client.py")]


def grpc_js(home: Path) -> list[str]:
    npm_file("@grpc/grpc-js/package.json")
    return [system_program("node"), str(SERVERS / "grpc_client.mjs"), str(MODULES)]


def grpc_go(home: Path) -> list[str]:
    return [go_program("grpc_client.go", home)]


def grpc_java(home: Path) -> list[str]:
    """Return what compiles and runs it, where the jars are those of Debian's libgrpc-java."""
    system_program("javac", "default-jdk-headless")
    jars = [
        str(debian_file(f"/usr/share/java/{name}.jar", "libgrpc-java libperfmark-java"))
        for name in JARS
    ]
    return ["java", "-cp", ":".join(jars), str(SERVERS / "GrpcClient.java")]


CLIENTS: Final[tuple[Command, ...]] = (grpcio, grpc_js, grpc_go, grpc_java)
SERVER_COMMANDS: Final[dict[str, Command]] = {
    "grpcio": lambda home: [python_program(), str(SERVERS / "grpc_server.py")],
    "grpc-js": lambda home: [*grpc_js(home)[:1], str(SERVERS / "grpc_server.mjs"), str(MODULES)],
}
RESULTS: Final = {
    "unary": "hello",
    "empty": 0,
    "metadata": {"x-raw-bin": "00ff", "x-sent-bin": "01fe", "x-text": "v"},
    "failure": ["INVALID_ARGUMENT", "50 % of ä"],
    "unknown": "UNIMPLEMENTED",
    "deadline": "DEADLINE_EXCEEDED",
    "8 MiB": True,
    "gzip": 100_000,
    "server stream": 1000,
    "client stream": "1000000",
    "both": 100,
    "cancel": "CANCELLED",
    "at once": True,
}
"""What each client prints, whichever server answers it."""
RECORDED: Final = {
    ("Echo", "ok", 0, ("unary", 1, 1), None, "trailers"): 304,
    ("Echo", "ok", 0, ("unary", 1, 1), "gzip", "trailers"): 1,
    ("Fail", "ok", 3, (None, 1, 0), None, "trailers_only"): 1,
    ("Nowhere", "ok", 12, (None, 1, 0), None, "trailers_only"): 1,
    ("Count", "ok", 0, ("server", 1, 1000), None, "trailers"): 1,
    ("Add", "ok", 0, ("client", 1000, 1), None, "trailers"): 1,
    ("Chat", "ok", 0, ("bidi", 100, 100), None, "trailers"): 1,
    ("Forever", "client_closed", None, (), None, "reset"): 1,
}
MAY_BE_RECORDED: Final = {
    ("First", "ok", 0, (), None, "trailers"),  # of grpcio alone
    ("Slow", "client_closed", 4, (None, 1, 0), None, "reset"),  # the client's own deadline
    ("Slow", "ok", 4, (None, 1, 0), None, "trailers_only"),  # the service saw the deadline first
}


@contextlib.contextmanager
def service(
    home: Path, port: int = 0, server: str = "grpcio", tls: Sequence[Path] = ()
) -> Iterator[str]:
    """Run a service; give where it listens."""
    port = port or free_port()
    process = subprocess.Popen(
        [*SERVER_COMMANDS[server](home), str(port), *map(str, tls)],
        cwd=home,
        env=client_environ(home),
    )
    try:
        eventually(lambda: listens(port) or process.poll() is not None)
        assert process.poll() is None
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    """Whether something accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def call_all(target: str, cwd: Path, client: Command = grpcio) -> Any:
    """Run a client; return what came of each kind of call."""
    return json.loads(run([*client(cwd), target], cwd))


@pytest.mark.parametrize("server", SERVER_COMMANDS)
@pytest.mark.parametrize("client", CLIENTS)
def test_every_kind_of_call(tmp_path: Path, client: Command, server: str) -> None:
    """Results, statuses, messages and metadata are those of a direct call; each call is one record,
    which is true.
    """
    with service(tmp_path, server=server) as target:
        assert call_all(target, tmp_path, client) == RESULTS
        with Sidelog(tmp_path / "data", f"http://{target}") as sidelog:
            assert call_all(sidelog.url.removeprefix("http://"), tmp_path, client) == RESULTS
            ledger = sidelog.settled_ledger()
            records = sidelog.records()

    # Of streams with more than 100 messages a second.
    assert ledger["dropped"].keys() <= {"message_limit"}
    assert {record["http_version"] for record in records} == {"2"}
    calls = Counter(map(_as_recorded, records))
    assert calls.keys() - RECORDED.keys() <= MAY_BE_RECORDED
    assert {call: calls[call] for call in RECORDED} == RECORDED


def _as_recorded(record: dict[str, Any]) -> tuple[Any, ...]:
    """Return what is the same each time; of a stream that is cut off the number of messages is
    chance.
    """
    grpc = record["grpc"]
    method = record["path"].rpartition("/")[2]
    counts = grpc["kind"], grpc["request_messages"], grpc["response_messages"]
    is_chance = method in ("First", "Forever")
    return (
        method,
        record["outcome"],
        grpc["status"],
        () if is_chance else counts,
        grpc["encoding"],
        grpc["end"],
    )


def test_calls_over_tls(tmp_path: Path) -> None:
    """Clients that offer HTTP/2 alone by ALPN, and services that take nothing else."""
    cert, key = self_signed(tmp_path)
    settings = {"PROXY__TLS_CERT_FILE": str(cert), "PROXY__TLS_KEY_FILE": str(key)}
    environ = {f"SIDELOG_{name}": value for name, value in settings.items()} | {
        "SSL_CERT_FILE": str(cert)
    }

    with contextlib.ExitStack() as open_:
        target = open_.enter_context(service(tmp_path, tls=(cert, key)))
        sidelog = open_.enter_context(
            Sidelog(tmp_path / "data", f"https://{target}", environ=environ)
        )
        called = run([*grpcio(tmp_path), f"127.0.0.1:{sidelog.port}", str(cert)], tmp_path)
        assert json.loads(called) == RESULTS
        assert sidelog.settled_ledger()["dropped"].keys() <= {"message_limit"}
        assert {record["http_version"] for record in sidelog.records()} == {"2"}


SCHEMA: Final = """syntax = "proto3"; package test; message Text { string text = 1; }
service Service { rpc Echo(Text) returns (Text); rpc Fail(Text) returns (Text);
rpc Chat(stream Text) returns (stream Text); }
"""


def grpcurl(target: str, home: Path) -> list[str]:
    """Ask with a schema; return what is printed of each call."""
    program = shutil.which("grpcurl") or pytest.skip(
        "grpcurl is not installed: no distribution has it"
    )
    schema = home / "test.proto"
    schema.write_text(SCHEMA)
    own = [
        program,
        "-plaintext",
        "-import-path",
        str(home),
        "-proto",
        str(schema),
        "-H",
        "x-sent-bin: Af4=",
        "-v",
    ]
    said = []

    for method, text in (
        ("Echo", '{"text": "a"}'),
        ("Fail", "{}"),
        ("Chat", '{"text": "a"} {"text": "b"}'),
    ):
        command = [*own, "-d", text, target, f"test.Service/{method}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        said.append(done.stdout + done.stderr)

    return said


def test_grpcurl(tmp_path: Path) -> None:
    """It prints the same, binary trailers too, but for the id of the record."""
    with service(tmp_path) as target, Sidelog(tmp_path / "data", f"http://{target}") as sidelog:
        direct = grpcurl(target, tmp_path)
        for text, said in zip(('"text": "a"', "50 % of ä", '"text": "b"'), direct, strict=True):
            assert text in said
        through = grpcurl(sidelog.url.removeprefix("http://"), tmp_path)
        assert [re.sub(r"x-sidelog-id: .*\n", "", said) for said in through] == direct
        sidelog.settled_ledger()
        records = sidelog.records("order=asc")

    assert [(record["grpc"]["status"], record["grpc"]["kind"]) for record in records] == [
        (0, "unary"), (3, None), (0, "bidi"),
    ]  # fmt: skip


def test_calls_go_on_behind_a_restart_of_the_service(tmp_path: Path) -> None:
    """What runs when it dies is unavailable; the next call finds it again."""
    port = free_port()
    with Sidelog(tmp_path / "data", f"http://127.0.0.1:{port}") as sidelog:
        for _ in range(2):
            with service(tmp_path, port):
                assert call_all(sidelog.url.removeprefix("http://"), tmp_path)["at once"] is True


def test_calls_go_on_behind_the_death_of_a_worker(tmp_path: Path) -> None:
    """Killed amid streams it loses none of what it recorded, and another serves the next call."""
    with service(tmp_path) as target, Sidelog(tmp_path / "data", f"http://{target}") as sidelog:
        command = [
            python_program(),
            str(SERVERS / "grpc_client.py"),
            sidelog.url.removeprefix("http://"),
            "hold",
        ]
        client = subprocess.Popen(
            command, cwd=tmp_path, env=client_environ(tmp_path), stdout=subprocess.PIPE, text=True
        )
        eventually(lambda: sidelog.is_in_flight("/test.Service/Forever"))
        for pid in sidelog.pids("proxy.worker"):
            os.kill(pid, signal.SIGKILL)
        assert json.loads(client.communicate(timeout=120)[0]) == "UNAVAILABLE"
        assert call_all(sidelog.url.removeprefix("http://"), tmp_path)["at once"] is True
        ledger = sidelog.settled_ledger()
        # Of streams with more than 100 messages a second.
        assert ledger["dropped"].keys() <= {"message_limit"}
        outcomes = Counter(record["outcome"] for record in sidelog.records())
        assert outcomes["worker_lost"] == 1
