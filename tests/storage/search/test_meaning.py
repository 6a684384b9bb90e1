"""What a search means, said by hand; backends are compared with it in
tests/contract/test_storage_search.py.
"""

from storage.record import Payload
from storage.search.expression import (
    And,
    Between,
    Expression,
    Has,
    InNetwork,
    Is,
    Like,
    Not,
    Or,
    Substring,
    Text,
)
from storage.search.meaning import fulfils, pack_address
from storage.search.phrase import Phrase
from storage.search.subject import Subject
from tests.storage.samples import make_body, make_record
from tests.support.cases import each_of

SUBJECT = Subject(
    make_record(
        seq=1,
        path="/api/Users/7",
        query="q=caf%C3%A9",
        status=503,
        client_ip="10.1.2.3",
        model=None,
    ),
    Payload(
        b"POST /api/Users/7 HTTP/1.1\r\nx-tenant: Acme",
        b"HTTP/1.1 503 Service Unavailable",
        make_body(b'{"text":"connection\\nreset"}'),
        make_body(b"Gr\xc3\xbc", b"\xbcne Stra\xc3\x9fe"),
    ),
    ("search",),
)
YES = Is("method", ("GET", "PUT"))
NO = Is("method", ("get",))


@each_of(
    ("search", "expected"),
    [
        (YES, True),
        (NO, False),
        (Not(NO), True),
        (And((YES, NO)), False),
        (Or((YES, NO)), True),
        (Not(Is("model", ("gpt",))), True),
        (Has("model"), False),
        (Has("status"), True),
        (Like("path", ("/API/", "7")), True),
        (Like("path", ("api",)), False),
        (Between("status", 500, 599), True),
        (Between("cost_usd", None, None), False),
        (InNetwork(b"\n\0\0\0", b"\n\xff\xff\xff"), True),
        (InNetwork(bytes(16), b"\xff" * 16), False),
        (Is("tool", ("search",)), True),
        (Like("header.x-tenant", ("acme",)), True),
        (Like("response_header.x-tenant", ("acme",)), False),
        (Text(Phrase(("connection", "reset"))), True),
        (Text(Phrase(("reset", "connection"))), False),
        (Text(Phrase(("strasse",))), True),
        (Text(Phrase(("caf\u00e9",))), True),
        (Text(Phrase(("use",))), False),
        (Text(Phrase(("use",), is_prefix=True)), True),
        (Substring("NNECT"), True),
        (Substring("nothing of it"), False),
    ],
)
def test_meaning(search: Expression, expected: bool) -> None:
    """Each kind of node."""
    assert fulfils(SUBJECT, search) is expected


def test_addresses() -> None:
    """Only what is written as the standard library writes it is an address."""
    assert pack_address("10.0.0.1") == b"\n\0\0\1"
    assert pack_address("::1") == bytes(15) + b"\1"
    assert pack_address("0::1") is None
    assert pack_address("unix") is None
