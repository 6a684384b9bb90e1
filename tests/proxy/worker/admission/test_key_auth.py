"""The key check in the data plane: what reaches the upstream, what is answered, what is recorded."""

import json
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec

from proxy.ring.exchange import ACCESS, NO_KEY
from proxy.ring.inflight import HEAD_BYTES, Caller, InflightReader
from proxy.ring.key_snapshot import SNAPSHOT_FILE, encode_snapshot, write_snapshot
from proxy.ring.segment_layout import KEYS_GENERATION
from proxy.worker.server import DataPlane
from storage.keys import ApiKey, new_secret, secret_digest
from tests.proxy.worker.rows import (
    Row,
    Stage,
    Step,
    ask,
    counted,
    forwarded,
    hear,
    leave,
    played,
    recorded,
    until_asked,
    withheld,
)
from tests.proxy.worker.services import gone, heard
from tests.support.plane import eventually

SECRET: Final = new_secret()
KEY: Final = ApiKey(
    id="01920000-0000-7000-8000-000000000001",
    name="n",
    last4="aaaa",
    secret_sha256=secret_digest(SECRET.encode()),
    scopes=("agent",),
)
GIVEN: Final = (("api-key", SECRET),)
OF_KEY: Final = ACCESS.pack(0, UUID(KEY.id).bytes)
OF_NOBODY: Final = ACCESS.pack(0, NO_KEY)
BOTH: Final = ("h1", "reference")
EVERY: Final = (*BOTH, "h2-h1")


def write_keys(keys: list[ApiKey], directory: Path) -> None:
    """Leave a snapshot where the collector does."""
    write_snapshot(directory, encode_snapshot(keys))


def keyed(
    name: str,
    client: list[Step],
    over: tuple[str, ...] = EVERY,
    keys: list[ApiKey] | None = None,
    **more: Any,
) -> Row:
    """A row of a route that asks for keys, unless its settings say otherwise."""
    trusted = more.pop("trusted_proxies", ())
    upstream = {"upstream": more.pop("upstream")} if "upstream" in more else {}
    settings = {"trusted_proxies": trusted, "route": {"auth": "required"} | more}
    return Row(
        name,
        client,
        over=over,
        settings=settings,
        prepare=partial(write_keys, [KEY] if keys is None else keys),
        **upstream,
    )


def refused(
    status: int, code: str, access: bytes = OF_NOBODY, **fields: str | None
) -> tuple[Step, Step]:
    """Read a refusal, and compare its record: nothing of it reached an upstream."""

    def read(stage: Stage) -> None:
        heard = stage.caller.hear("GET")
        assert heard.status == status
        assert heard.fields["x-sidelog-error"] == code
        assert json.loads(heard.body)["error"]["code"] == code
        assert ("www-authenticate" in heard.fields) == (status == 401)
        for name, value in fields.items():
            assert heard.fields.get(name) == value, name
        stage.ids.add(heard.fields["x-sidelog-id"])

    return (
        read,
        recorded(status, "rejected", code, access=access, upstream=b"", was_sent=False),
    )


def passed(access: bytes = OF_KEY) -> tuple[Step, Step]:
    return hear(), recorded(200, access=access)


def has_other(stage: Stage) -> None:
    """Find a field that is no key as it was sent; over HTTP/2 names are in lower case."""
    assert b"\r\nx-other: 1\r\n" in stage.signals.heads[-1].lower()


def is_shown_as(caller: Caller) -> Step:
    """Wait until the exchange is shown as running, with its caller."""

    def look(stage: Stage) -> None:
        (shown,) = eventually(lambda: InflightReader(stage.plane.segment).scan())
        assert shown.caller == caller

    return look


def announced(content: bytes | None, generation: int) -> Step:
    """Replace the snapshot, and wait until the plane has looked at it."""

    def announce(stage: Stage) -> None:
        path = Path(stage.plane.settings.data_dir, SNAPSHOT_FILE)
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        stage.plane.segment.cells[KEYS_GENERATION] = generation
        if isinstance(stage.plane.plane, DataPlane):
            eventually(
                lambda: (
                    generation
                    in (
                        stage.plane.engine.gate._failed_generation,
                        stage.plane.engine.gate._generation,
                    )
                )
            )

    return announce


ROWS = [
    *(
        keyed(
            f"a running exchange shows whose it is, behind {name}",
            [
                ask(
                    fields=(
                        ("X-Long", "x" * 2 * HEAD_BYTES),
                        *GIVEN,
                        ("x-project", " tenant-b "),
                        ("X-Project", "another"),
                        ("x-user", "ann"),
                    )
                ),
                until_asked,
                is_shown_as(Caller(ACCESS.pack(is_trusted, UUID(KEY.id).bytes), *named)),
                leave(),
                recorded(499, "client_closed"),
            ],
            ("h1",),
            trusted_proxies=trusted,
            project_header="X-Project",
            user_header="X-User",
            upstream=[heard, gone],
        )
        for name, is_trusted, trusted, named in (
            ("a proxy", 1, ("127.0.0.1",), (b"tenant-b", b"ann")),
            ("a stranger", 0, (), ()),
        )
    ),
    keyed(
        "a good key opens, and is not forwarded",
        [
            ask(fields=(("API-Key", SECRET), ("api_key", SECRET), ("X-Other", "1"))),
            *passed(),
            has_other,
            withheld(SECRET.encode(), b"API-Key", b"api-key", b"api_key"),
        ],
        scope="agent",
    ),
    *(
        keyed(
            f"a call that is refused as {code} never reaches the upstream",
            [
                ask(fields=fields),
                *refused(status, code, access),
                counted("auth_failures", {code: 1}),
            ],
            keys=[msgspec.structs.replace(KEY, **members)],
            scope="agent",
            agent="billing",
        )
        for fields, members, status, code, access in (
            ((), {}, 401, "missing_token", OF_NOBODY),
            ((("api-key", "nonsense"),), {}, 401, "invalid_token", OF_NOBODY),
            (GIVEN, {"disabled": True}, 401, "disabled", OF_KEY),
            (GIVEN, {"expires_at_us": 1}, 401, "expired", OF_KEY),
            (GIVEN, {"scopes": ()}, 403, "scope_denied", OF_KEY),
            (GIVEN, {"agents": ("other",)}, 403, "agent_denied", OF_KEY),
        )
    ),
    keyed(
        "a refused connection goes on",
        [ask(), *refused(401, "missing_token", connection=None), ask(fields=GIVEN), *passed()],
    ),
    keyed(
        "where keys are optional, nothing or a value that is not ours passes, and a bad one of ours does not",
        [
            ask(),
            *passed(OF_NOBODY),
            ask(fields=GIVEN),
            *passed(),
            withheld(b"api-key"),
            ask(fields=(("api-key", "azure-0123"),)),
            *passed(OF_NOBODY),
            forwarded(b"api-key: azure-0123"),
            ask(fields=(("api-key", "sk_wrong"),)),
            *refused(401, "invalid_token"),
        ],
        auth="optional",
    ),
    *(
        keyed(
            f"a body of a refused call, {body!r} of 5 bytes, is not forwarded",
            [ask("POST", body=body, length=5), *refused(401, "missing_token", connection="close")],
            ("h1",),
        )
        for body in (b"12345", b"12")
    ),
    keyed(
        "a key that Connection names is none",
        [ask(fields=(*GIVEN, ("Connection", "api-key"))), *refused(401, "missing_token")],
        ("h1",),
    ),
    keyed(
        "another field can carry the key, after the word Bearer",
        [
            ask(fields=(("Authorization", f"Bearer {SECRET}"), ("api-key", "sk_theirs"))),
            *passed(),
            forwarded(b"api-key: sk_theirs"),
            withheld(SECRET.encode()),
        ],
        key_header="Authorization",
    ),
    keyed(
        "a key under a name that often varies is never forwarded, nor under its other spelling",
        [
            step
            for number in range(3)
            for step in (
                ask(
                    fields=(
                        ("X-Correlation-Id", f"{SECRET}{number}"),
                        ("X-Request-Id", f"{number}"),
                    )
                ),
                hear(),
                recorded(200),
                withheld(SECRET.encode()),
            )
        ],
        ("h1",),
        auth="optional",
        key_header="x_correlation_id",
    ),
    Row(
        "a route without keys needs no snapshot, and forwards everything",
        [ask(fields=(("api-key", "sk_theirs"),)), *passed(b""), forwarded(b"api-key: sk_theirs")],
        over=EVERY,
        settings={"route": {"auth": "off"}},
    ),
    *(
        Row(
            f"the word of a proxy counts, {word}, where {trusted} are trusted",
            [
                ask(fields=(("x-user", "ann"), ("X-Forwarded-For", "192.0.2.9"))),
                *passed(ACCESS.pack(word, NO_KEY)),
            ],
            over=EVERY,
            settings={
                "trusted_proxies": trusted,
                "route": {"auth": "off", "user_header": "x-user"},
            },
        )
        for trusted, word in ((("127.0.0.1",), 1), (("10.0.0.0/8",), 0), ((), 0))
    ),
    keyed(
        "a refused call is recorded with its client",
        [
            ask(fields=(("X-Forwarded-For", "192.0.2.9"),)),
            refused(401, "missing_token")[0],
            recorded(401, "rejected", "missing_token", client=b"192.0.2.9"),
        ],
        trusted_proxies=("127.0.0.1",),
    ),
    Row(
        "without a snapshot a route is closed, until one is announced",
        [
            ask(fields=GIVEN),
            *refused(503, "keys_unavailable"),
            announced(encode_snapshot([KEY]), 5),
            ask(fields=GIVEN),
            *passed(),
        ],
        over=BOTH,
        settings={"route": {"auth": "required"}},
    ),
    keyed(
        "keys that are known stay in force until there is a good snapshot",
        [
            *(
                step
                for content, generation in ((b"damaged", 7), (None, 8))
                for step in (announced(content, generation), ask(fields=GIVEN), *passed())
            ),
            announced(encode_snapshot([]), 9),
            ask(fields=GIVEN),
            *refused(401, "invalid_token"),
        ],
        BOTH,
    ),
]


test_key_auth = played(ROWS)
