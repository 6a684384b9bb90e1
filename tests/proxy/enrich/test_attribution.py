"""To whom a record is attributed: the key as it was then, and the precedence of key, trusted header
and route.
"""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.enrich.attribution import (
    KeyIndex,
    attribute_exchange,
    attribute_in_flight,
    attribute_message,
)
from proxy.enrich.records import RecordBuilder
from proxy.http1.errors import AUTH_CODES
from proxy.ring.descriptor import RouteLabels
from proxy.ring.exchange import ACCESS, NO_KEY, CapturedExchange
from proxy.ring.inflight import Caller, InflightExchange
from storage.keys import ApiKey, deleted, new_secret, secret_digest
from storage.record import Record, new_id
from tests.proxy.enrich import exchanges
from tests.storage.samples import make_record
from tests.support.cases import each_of

SECRET = new_secret()
KEY = ApiKey(
    id="01920000-0000-7000-8000-000000000001", name="Production Key", last4=SECRET[-4:],
    secret_sha256=secret_digest(SECRET.encode()),
)  # fmt: skip
KEY_ID = UUID(KEY.id).bytes
ROUTE = {
    "auth": "required", "key_header": "x-secret", "project_header": "x-project", "user_header": "X-User",
    "project": "of-route",
}  # fmt: skip


def index_of(*keys: ApiKey) -> KeyIndex:
    """Index these keys."""
    index = KeyIndex()
    index.replace(keys)
    return index


def labels(**changes: Any) -> RouteLabels:
    """Make what a route with all its settings adds."""
    given = {
        "auth": "required",
        "key_header": "x-secret",
        "project_header": "x-project",
        "user_header": "x-user",
    }
    return RouteLabels("r", None, None, "of-route", None, None, **(given | changes))


def attributed(
    keys: KeyIndex,
    *,
    key_id: bytes = KEY_ID,
    is_trusted: bool = False,
    fields: bytes = b"",
    **changes: Any,
) -> Record:
    """Attribute a record of such a route."""
    record = make_record(project="of-route", **changes)
    head = b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n"
    attribute_exchange(record, ACCESS.pack(is_trusted, key_id), head, labels(), keys)
    return record


def test_a_record_names_the_key_that_made_it() -> None:
    """Id, name and last characters; the call counts as a use."""
    keys = index_of(KEY)
    record = attributed(keys)
    assert (record.key_id, record.key_name, record.key_last4) == (
        KEY.id,
        "Production Key",
        SECRET[-4:],
    )
    assert (record.keyed, record.auth_code) == (True, None)
    assert keys.take_uses() == {KEY.id: record.started_at_us}
    assert keys.take_uses() == {}


def test_a_key_deleted_meanwhile_is_still_named() -> None:
    """The ring may hold calls that are older than the deletion."""
    assert attributed(index_of(deleted(KEY, 1))).key_name == "Production Key"


def test_a_key_nobody_knows_leaves_its_id() -> None:
    """The rest stays null: nothing is invented."""
    record = attributed(index_of())
    assert (record.key_id, record.key_name, record.key_last4) == (KEY.id, None, None)
    assert record.project is None


@each_of("code", AUTH_CODES)
def test_a_refusal_is_no_use_and_has_its_code(code: str) -> None:
    """The key stands on the record as far as it was known."""
    keys = index_of(KEY)
    is_known = code not in AUTH_CODES[:2]
    record = attributed(keys, key_id=KEY_ID if is_known else NO_KEY, error_type=code, status=401)
    assert (record.auth_code, record.keyed) == (code, True)
    assert record.key_name == ("Production Key" if is_known else None)
    assert keys.take_uses() == {}


def test_other_errors_have_no_code() -> None:
    """Neither ours nor the upstream's, with a good key."""
    for error in ("upstream_timeout", "keys_unavailable", "body_too_large"):
        assert attributed(index_of(KEY), error_type=error).auth_code is None


@given(
    of_key=st.none() | st.just("of-key"),
    in_header=st.sampled_from(("", "of-header")),
    is_trusted=st.booleans(),
)
def test_key_then_trusted_header_then_route(
    of_key: str | None, in_header: str, is_trusted: bool
) -> None:
    """A header counts only from a trusted proxy; an empty one is none."""
    keys = index_of(
        ApiKey(id=KEY.id, name="n", last4="l", secret_sha256=b"x", project=of_key, user_id=of_key)
    )
    fields = b"X-PROJECT: %b\r\nx-user: %b\r\n" % (in_header.encode(), in_header.encode())
    record = attributed(keys, is_trusted=is_trusted, fields=fields)
    trusted = (in_header or None) if is_trusted else None
    assert record.project == (of_key or trusted or "of-route")
    assert record.user_id == (of_key or trusted)


def test_the_first_of_several_headers_counts_and_is_cut() -> None:
    """A name is text of at most 256 characters, whatever bytes it came as."""
    fields = b"x-user: " + b"\xff" * 100 + b"a" * 300 + b"\r\nx-user: second\r\n"
    record = attributed(index_of(), is_trusted=True, fields=fields)
    assert record.user_id is not None
    assert record.user_id.startswith("\\xff")
    assert len(record.user_id) == 256


def test_the_newest_use_is_noted() -> None:
    """Rings of several workers are read in any order."""
    keys = index_of(KEY)
    for at_us in (5, 9, 7):
        keys.note_use(KEY.id, at_us)
    assert keys.take_uses() == {KEY.id: 9}


@pytest.mark.parametrize(
    ("is_trusted", "of_key", "project"),
    [
        (False, None, "of-route"),
        (True, None, None),
        (True, "of-key", "of-key"),
        (False, "of-key", "of-key"),
    ],
)
def test_a_message_belongs_to_the_key_of_its_handshake(
    is_trusted: bool, of_key: str | None, project: str | None
) -> None:
    """Its project is never that of a route when a header may have named another one."""
    record = make_record(kind="event", project="of-route")
    keys = index_of(ApiKey(id=KEY.id, name="n", last4="l", secret_sha256=b"x", project=of_key))
    attribute_message(record, ACCESS.pack(is_trusted, KEY_ID), labels(), keys)
    assert (record.key_id, record.key_name, record.project) == (KEY.id, "n", project)


def test_a_message_without_a_key_stays_the_routes() -> None:
    """Where keys are optional."""
    record = make_record(kind="event", project="of-route")
    attribute_message(record, ACCESS.pack(False, NO_KEY), labels(), index_of(KEY))
    assert (record.key_id, record.project) == (None, "of-route")


@each_of(
    ("caller", "found"),
    [
        (Caller(ACCESS.pack(False, KEY_ID)), ("Production Key", "of-route", None)),
        (Caller(ACCESS.pack(True, NO_KEY), b"of-header", b"ann"), (None, "of-header", "ann")),
        (
            Caller(ACCESS.pack(True, KEY_ID), b"of-header", b"ann"),
            ("Production Key", "of-header", "ann"),
        ),
        (Caller(ACCESS.pack(True, NO_KEY)), (None, "of-route", None)),
        (Caller(ACCESS.pack(False, NO_KEY)), (None, "of-route", None)),
        (Caller(ACCESS.pack(True, bytes(15) + b"x"), b"of-header", b"ann"), (None, None, "ann")),
        (Caller(), (None, None, None)),
        (None, (None, None, None)),
    ],
)
def test_an_exchange_in_flight_is_attributed_by_what_its_worker_noted(
    caller: Caller | None, found: tuple[str | None, ...]
) -> None:
    """The precedence is that of a finished one; what is not known is nobody's, instead of the
    route's.
    """
    record = make_record(project="of-route")
    attribute_in_flight(record, caller, labels(), index_of(KEY))
    assert (record.key_name, record.project, record.user_id) == found
    assert record.keyed


def test_a_route_that_asks_nothing_is_known_without_a_caller() -> None:
    """Its own project holds."""
    record = make_record(project="of-route")
    attribute_in_flight(
        record, None, labels(auth=None, project_header=None, user_header=None), index_of(KEY)
    )
    assert record.project == "of-route"


def _captured(fields: str, access: bytes) -> CapturedExchange:
    captured = exchanges.exchange(request_headers=fields)
    captured.access = access
    return captured


def test_the_builder_attributes_and_hides_the_key() -> None:
    """The field that carries the key is redacted under whatever name the route gives it."""
    given = exchanges.settings(**ROUTE)
    builder = RecordBuilder("i", given, index_of(KEY))
    captured = _captured(f"X-Secret: {SECRET}\r\n", ACCESS.pack(False, KEY_ID))
    entry = builder.build(captured, exchanges.descriptor_of(given))
    assert (entry.record.key_id, entry.record.project, entry.record.keyed) == (
        KEY.id,
        "of-route",
        True,
    )
    assert entry.payload is not None
    assert SECRET.encode() not in entry.payload.request_head
    assert b"X-Secret: [REDACTED]" in entry.payload.request_head


def test_the_builder_leaves_other_routes_alone() -> None:
    """A route without keys makes plain records; one that was refused before the check is keyed all
    the same.
    """
    record = exchanges.Collector().read(_captured("", b"")).record
    assert (record.keyed, record.key_id, record.auth_code) == (False, None, None)
    record = exchanges.Collector(**ROUTE).read(_captured("", b"")).record
    assert (record.keyed, record.key_id) == (True, None)


def test_what_runs_is_shown_with_its_key() -> None:
    """Lists of exchanges in flight, and records of lost ones, are attributed as well."""
    given = exchanges.settings(**ROUTE)
    head = f"GET / HTTP/1.1\r\nHost: a\r\nX-Secret: {SECRET}\r\n\r\n".encode()
    running = InflightExchange(
        record_id=new_id(1, 2, 3), started_at_us=1, route=0, client_ip=b"10.0.0.1", head=head, head_truncated=False,
        body=b"", caller=Caller(ACCESS.pack(False, KEY_ID)),
    )  # fmt: skip
    record = (
        RecordBuilder("i", given, index_of(KEY))
        .running(running, exchanges.descriptor_of(given))
        .record
    )
    assert (record.key_name, record.keyed) == ("Production Key", True)
